"""Reads Responses events and objects as the openai SDK does, but strictly."""

from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.web.dialects.reading import assert_known

_EVENT: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)


def read_event(data: bytes | str) -> ResponseStreamEvent:
    """The event, if it has every field that the SDK requires and none that it does not know."""
    event: ResponseStreamEvent = _EVENT.validate_json(data, strict=True)
    assert_known(event)
    return event


def read_response(body: bytes | str) -> Response:
    """The whole answer, checked like an event."""
    response = Response.model_validate_json(body, strict=True)
    assert_known(response)
    return response


def read_events(stream: bytes) -> list[ResponseStreamEvent]:
    """The events of a whole stream, each named as its data says, and numbered without a gap."""
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
