"""Parses Messages streams with the anthropic SDK and checks the order of their events."""

from collections.abc import Sequence
from typing import Any

from anthropic._streaming import SSEDecoder
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from anthropic.types.shared import ErrorResponse
from msgspec import Struct

from tests.support.strict_types import strictly


class Frame(Struct, frozen=True):
    """One event as sent; comments and pings are not events."""

    id: str
    event: str
    data: str
    raw: bytes


def frames_of(stream: bytes) -> list[Frame]:
    """Parse a complete stream of frames: an id, a name, one data line and a blank line each."""
    lines = [line for line in stream.split(b"\n") if not line.startswith(b":")]
    assert lines.pop() == b"", "the stream ends with a whole line"
    if lines[-2:] == [b"data: [DONE]", b""]:  # a frame without an id, in Responses streams only
        del lines[-2:]
    frames = []
    while lines:
        if lines[0] == b"event: ping":
            assert lines[1:3] == [b'data: {"type":"ping"}', b""]
            del lines[:3]
        else:
            frames.append(_frame(lines[:4]))
            del lines[:4]
    return frames


def _frame(lines: list[bytes]) -> Frame:
    id, event, data, blank = lines
    assert id.startswith(b"id: ")
    assert event.startswith(b"event: ")
    assert data.startswith(b"data: ")
    assert blank == b""
    return Frame(id[4:].decode(), event[7:].decode(), data[6:].decode(), b"\n".join(lines))


def read_event(frame: Frame) -> Any:
    """Parse the event strictly as the SDK's type; an `error` event as its error response."""
    if frame.event == "error":
        return strictly(ErrorResponse, frame.data)
    event = strictly(RawMessageStreamEvent, frame.data)
    assert event.type == frame.event
    return event


def read_message(body: bytes) -> Message:
    """Parse an ended message strictly as the SDK's type."""
    message = strictly(Message, body, {"warnings"})
    assert isinstance(message, Message)
    assert message.stop_reason is not None
    return message


def check_grammar(events: Sequence[Any]) -> None:
    """Check that the events are a message: start, consecutive blocks, delta and stop, or an error.

    An error may be anywhere, with nothing after it.
    """
    kinds = [event.type for event in events]
    assert all(kind != "error" for kind in kinds[:-1])
    whole = kinds[-1:] != ["error"]
    body = events if whole else events[:-1]
    if not whole and not body:
        return
    assert body[0].type == "message_start"
    blocks = body[1:-2] if whole else body[1:]
    if whole:
        assert kinds[-2:] == ["message_delta", "message_stop"]
    _check_blocks(blocks, whole=whole)


def _check_blocks(events: Sequence[Any], *, whole: bool) -> None:
    begun, open = 0, None
    for event in events:
        if event.type == "content_block_start":
            assert open is None
            assert event.index == begun
            open, begun = event, begun + 1
            continue
        assert open is not None
        assert event.index == open.index
        if event.type == "content_block_stop":
            open = None
        else:
            assert event.type == "content_block_delta"
            assert event.delta.type in DELTAS[open.content_block.type]
    assert open is None or not whole


DELTAS = {
    "text": {"text_delta", "citations_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "tool_use": {"input_json_delta"},
    "server_tool_use": {"input_json_delta"},
    "redacted_thinking": set(),
}


def accumulated(events: Sequence[Any]) -> Message:
    """Return the message that the SDK accumulates from a stream's events."""
    message: Any = None
    buffers: dict[int, bytes] = {}
    for event in events:
        message = accumulate_event(event=event, current_snapshot=message, json_bufs=buffers)
    assert isinstance(message, Message)
    return message


def sdk_events(parts: list[bytes]) -> list[tuple[str | None, str]]:
    """Return name and data of the events that the SDK decodes from a stream in these chunks."""
    return [(sse.event, sse.data) for sse in SSEDecoder().iter_bytes(iter(parts))]
