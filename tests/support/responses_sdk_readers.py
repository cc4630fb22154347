"""Strict readers of Responses events and objects, based on the types of the openai SDK."""

from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.support.responses_readers import DOCUMENTED
from tests.support.strict_types import assert_known

_EVENT: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)


def read_event(data: bytes | str) -> ResponseStreamEvent:
    """Parse an event; it must have every field that the SDK requires and no undocumented one."""
    event: ResponseStreamEvent = _EVENT.validate_json(data, strict=True)
    assert_known(event, DOCUMENTED)
    return event


def read_response(body: bytes | str) -> Response:
    """Parse a response object as strictly as an event."""
    response = Response.model_validate_json(body, strict=True)
    assert_known(response, DOCUMENTED)
    return response


def read_events(stream: bytes) -> list[ResponseStreamEvent]:
    """Parse a whole stream; names must match the data, and numbers must have no gap."""
    *blocks, rest = stream.split(b"\n\n")
    assert rest == b""
    events = []
    for block in blocks:
        name, data = block.split(b"\n")
        event = read_event(data.removeprefix(b"data: "))
        assert name.removeprefix(b"event: ").decode() == event.type
        events.append(event)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    return events
