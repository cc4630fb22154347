"""Parses event streams byte by byte, and objects with the types of the openai SDK."""

from msgspec import Struct
from openai._streaming import ServerSentEvent, SSEDecoder
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

DOCUMENTED = {
    *("reasoning_content", "custom", "annotations"),
    *("thinking_blocks", "reasoning_details", "extra_content"),
}
"""Fields that we send and the SDK's types lack."""


class Frame(Struct, frozen=True):
    """One event as sent; comments are not events."""

    id: str
    data: str
    raw: bytes


def frames_of(stream: bytes) -> list[Frame]:
    """Parse a complete stream of frames: an id, one data line and a blank line each."""
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
    """Return the comments of a stream."""
    return [line[2:].decode() for line in stream.split(b"\n") if line.startswith(b": ")]


def read_chunk(data: str) -> ChatCompletionChunk:
    """Parse a chunk strictly: all fields that the SDK requires, and no unknown ones."""
    # The SDK's type has only calls of functions; OpenAI streams those of custom tools alike.
    as_function = data.replace('"type":"custom"', '"type":"function"')
    chunk = ChatCompletionChunk.model_validate_json(as_function, strict=True)
    assert_known(chunk)
    return chunk


def read_completion(body: bytes) -> ChatCompletion:
    """Parse a completion as strictly as a chunk."""
    completion = ChatCompletion.model_validate_json(body, strict=True)
    assert_known(completion)
    return completion


def assert_known(value: object) -> None:
    """Check at any depth that the SDK knows every field, except those in `DOCUMENTED`."""
    if isinstance(value, BaseModel):
        assert set(value.model_extra or {}) <= DOCUMENTED
        for name in type(value).model_fields:
            assert_known(getattr(value, name))
    elif isinstance(value, list):
        for item in value:
            assert_known(item)


def sdk_events(parts: list[bytes]) -> list[ServerSentEvent]:
    """Return the events that the SDK decodes from a stream in these chunks."""
    return list(SSEDecoder().iter_bytes(iter(parts)))
