"""Interface of the wire formats to the simulated server, and helpers that they share.

Each format is a pure module.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec import Raw, Struct

from actors.providers.simulated.rejections import Rejection
from actors.turn.chunks import Chunk, ToolCallChunk
from actors.turn.model_call import ModelCall


class BadCall(ValueError):
    """Raised for an invalid call; `param` names the field."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class IncomingCall(Struct, frozen=True):
    """A call parsed from a request, with what the renderer needs."""

    call: ModelCall
    stream: bool
    include_usage: bool
    """True if the client wants usage; for a renderer, true if usage follows the finish."""
    user: str | None
    metadata: dict[str, object] | None

    @property
    def stream_type(self) -> str | None:
        """Content type of this stream if it differs from the wire format's, else None."""
        return None


class Renderer(Protocol):
    """A renderer of one answer; it keeps only what is still open."""

    def frame(self, chunk: Chunk) -> bytes:
        """Return the stream frames of a chunk."""

    def torn_frame(self, chunk: Chunk) -> bytes:
        """Return a frame whose JSON is cut inside the chunk's text, framed as if complete."""

    def half_frame(self) -> bytes:
        """Return the first half of a frame."""

    def error_frame(self, code: str | None) -> bytes:
        """Return a frame with an in-stream error."""

    def end(self) -> bytes:
        """Return the stream's end marker."""

    def whole(self, chunks: Sequence[Chunk]) -> bytes:
        """Return the body of a non-streamed answer."""


class WireFormat(Protocol):
    """A wire format."""

    @property
    def stream_type(self) -> str:
        """Content type of a stream."""

    def matches(self, path: str) -> bool:
        """Return whether calls in this format are posted to `path`."""

    def read(self, path: str, body: bytes) -> IncomingCall:
        """Parse a request; the call is in the shape of OpenAI's Chat in every format.

        `path` includes the query, if any. Raises `BadCall`.
        """

    def renderer(self, incoming: IncomingCall, number: int, created: int) -> Renderer:
        """Return a renderer for request `number`; `created` is in seconds since the epoch."""

    def error_body(self, rejection: Rejection) -> bytes:
        """Return the body of an error response."""


def json_object(body: bytes) -> dict[str, object]:
    """Return the JSON object in a request body. Raises `BadCall`."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadCall(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise BadCall("the body is not a JSON object")
    return document


def camel(fields: Mapping[str, object]) -> dict[str, object]:
    """Return the fields with camel-case names; protocol buffer APIs accept snake case too."""
    return {_camel(name): value for name, value in fields.items()}


class WholeCall(Struct, frozen=True):
    """A complete tool call."""

    id: str
    name: str
    arguments: Raw


class CallCollector:
    """A collector of the pieces of tool calls."""

    def __init__(self) -> None:
        self._head: ToolCallChunk | None = None
        self._arguments: list[str] = []

    def completed_by(self, chunk: Chunk) -> WholeCall | None:
        """Return the call that `chunk` shows to be complete, or None.

        A call whose arguments were cut off is dropped.
        """
        if isinstance(chunk, ToolCallChunk) and chunk.id is None:
            self._arguments.append(chunk.arguments)
            return None
        whole = self._whole()
        self._head = chunk if isinstance(chunk, ToolCallChunk) else None
        self._arguments = [] if self._head is None else [self._head.arguments]
        return whole

    def _whole(self) -> WholeCall | None:
        if self._head is None:
            return None
        arguments = "".join(self._arguments).encode()
        try:
            msgspec.json.decode(arguments)
        except msgspec.DecodeError:
            return None
        return WholeCall(self._head.id or "", self._head.name or "", Raw(arguments))


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)
