"""Interface of the wire formats to the simulated server, and the parts that renderers share.

Each format is a pure module.
"""

import re
from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec import Struct

from actors.turn.chunks import (
    Chunk,
    FinishChunk,
    ReasoningChunk,
    RefusalChunk,
    SkippedChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
    WarningChunk,
)
from actors.turn.model_call import JSON, ModelCall
from actors.turn.outcome import ErrorInfo, Reason, Usage
from web.dialects.turn_errors import error_body
from web.http.api_error import ApiError
from web.http.json_body import json_object

FAILED = "The simulated model failed midway."
SSE = "text/event-stream; charset=utf-8"

Content = TextChunk | ReasoningChunk | RefusalChunk | ToolCallChunk

encode = msgspec.json.encode


class IncomingCall(Struct, frozen=True, kw_only=True):
    """A call parsed from a request, with what the renderer needs."""

    call: ModelCall
    stream: bool
    include_usage: bool = True
    """True if the client wants usage; for a renderer, true if usage follows the finish."""
    stream_type: str = SSE
    """Content type of a streamed answer."""
    user: JSON = None
    metadata: JSON = None
    input_tokens: int = 0
    """Input tokens, if a stream reports them before its end."""
    options: Mapping[str, JSON] = {}
    """Further options of the renderer."""


class Renderer:
    """Base of the renderers of one answer, which keep only what is still open.

    In most formats finish and usage share one frame, so the finish waits for the usage if the call
    includes it. A format that never streams only overrides `document`.
    """

    frame_end = b"\n\n"

    def __init__(self, incoming: IncomingCall, number: int, created: int) -> None:
        """Start the answer to request `number`; `created` is in seconds since the epoch."""
        self._incoming = incoming
        self._reason = Reason.STOP

    def frame(self, chunk: Chunk) -> bytes:
        """Return the stream frames of a chunk."""
        match chunk:
            case FinishChunk(reason=reason):
                self._reason = reason
                return b"" if self._incoming.include_usage else self.finish(reason, None)
            case UsageChunk(usage=usage):
                return self.finish(self._reason, usage) if self._incoming.include_usage else b""
            case SkippedChunk():
                return self.malformed()
            case WarningChunk():
                return b""  # no provider sends them
            case _:
                return self.content(chunk)

    def torn_frame(self, chunk: Chunk) -> bytes:
        """Return a frame whose JSON is cut inside the chunk's text, framed as if complete."""
        frames = self.frame(chunk)
        text = encode(chunk.text)[:-1] if isinstance(chunk, TextChunk) else b""
        return frames[: frames.rfind(text) + len(text)] + self.frame_end

    def whole(self, chunks: Sequence[Chunk]) -> bytes:
        """Return the body of a non-streamed answer."""
        usages = [chunk.usage for chunk in chunks if isinstance(chunk, UsageChunk)]
        reasons = [chunk.reason for chunk in chunks if isinstance(chunk, FinishChunk)]
        content = [chunk for chunk in chunks if isinstance(chunk, Content)]
        return self.document(
            content, reasons[-1] if reasons else Reason.STOP, usages[-1] if usages else None
        )

    def content(self, chunk: Content) -> bytes:
        """Return the frames of a piece of the answer."""
        return b""

    def finish(self, reason: Reason, usage: Usage | None) -> bytes:
        """Return the frames with the finish and, if given, the usage."""
        return b""

    def malformed(self) -> bytes:
        """Return a frame without text whose JSON is malformed."""
        return b""

    def half_frame(self) -> bytes:
        """Return the first half of a frame."""
        return b""

    def error_frame(self, code: str | None) -> bytes:
        """Return a frame with an in-stream error."""
        return b""

    def end(self) -> bytes:
        """Return the stream's end marker."""
        return b""

    def document(self, content: Sequence[Content], reason: Reason, usage: Usage | None) -> bytes:
        """Return the body of a non-streamed answer."""
        raise NotImplementedError


def openai_error(error: ErrorInfo) -> bytes:
    """Return the body of an error response as OpenAI sends it."""
    return encode(error_body(error))


class WireFormat(Struct, frozen=True):
    """A wire format; its functions are pure."""

    path: str
    """Regular expression of the paths to which calls in this format are posted."""
    parse: Callable[[dict[str, JSON], str], IncomingCall]
    """Parses a request body and its path; the call is in the shape of OpenAI's Chat."""
    renderer: Callable[[IncomingCall, int, int], Renderer]
    error_body: Callable[[ErrorInfo], bytes] = openai_error
    """Returns the body of an error response."""

    def matches(self, path: str) -> bool:
        """Return whether calls in this format are posted to `path`."""
        return re.fullmatch(self.path, path) is not None

    def read(self, path: str, body: bytes) -> IncomingCall:
        """Parse a request; `path` includes the query, if any. Raises `ApiError`."""
        return self.parse(json_object(body), path)


def rejection_of(error: ApiError) -> ErrorInfo:
    """Return the rejection of an invalid call, which has no code."""
    return msgspec.structs.replace(error.info, status=400, code=None)
