"""Reads event streams as a client does, byte for byte, and objects as the openai SDK does."""

from msgspec import Struct
from openai._streaming import ServerSentEvent, SSEDecoder
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

DOCUMENTED = {"reasoning_content"}
"""What we send although the SDK's types do not know it."""


class Frame(Struct, frozen=True):
    """One event as it stood on the wire, without comments."""

    id: str
    data: str
    raw: bytes


def frames_of(stream: bytes) -> list[Frame]:
    """The frames of a whole stream; each is an id, one line of data and a blank line."""
    lines = [line for line in stream.split(b"\n") if not line.startswith(b":")]
    assert lines.pop() == b"", "the stream ends with a whole line"
    assert len(lines) % 3 == 0, "a frame is three lines"
    return [_frame(lines[at : at + 3]) for at in range(0, len(lines), 3)]


def _frame(lines: list[bytes]) -> Frame:
    id, data, blank = lines
    assert id.startswith(b"id: ")
    assert data.startswith(b"data: ")
    assert blank == b""
    return Frame(id[4:].decode(), data[6:].decode(), b"\n".join(lines))


def comments_of(stream: bytes) -> list[str]:
    """The comments of a stream."""
    return [line[2:].decode() for line in stream.split(b"\n") if line.startswith(b": ")]


def read_chunk(data: str) -> ChatCompletionChunk:
    """The chunk, if it has every field that the SDK requires and none that it does not know."""
    chunk = ChatCompletionChunk.model_validate_json(data, strict=True)
    assert_known(chunk)
    return chunk


def read_completion(body: bytes) -> ChatCompletion:
    """The completion, checked like a chunk."""
    completion = ChatCompletion.model_validate_json(body, strict=True)
    assert_known(completion)
    return completion


def assert_known(value: object) -> None:
    """No field is unknown to the SDK, at any depth, but those we document."""
    if isinstance(value, BaseModel):
        assert set(value.model_extra or {}) <= DOCUMENTED
        for name in type(value).model_fields:
            assert_known(getattr(value, name))
    elif isinstance(value, list):
        for item in value:
            assert_known(item)


def sdk_events(parts: list[bytes]) -> list[ServerSentEvent]:
    """What the SDK's own decoder makes of a stream that arrives in these parts."""
    return list(SSEDecoder().iter_bytes(iter(parts)))
