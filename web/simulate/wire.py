"""What the server needs of a wire format. Each format is one pure module beside this one."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from actors.chunks import Chunk
from actors.providers.base import ModelCall
from actors.providers.simulated.rejections import Rejection


class BadCall(ValueError):
    """A body that is no call in this format; `param` names the field."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class Ask(Struct, frozen=True):
    """A call as it came over the wire."""

    call: ModelCall
    stream: bool
    include_usage: bool
    """Usage is wanted; to a renderer: wanted, and there will be some, right after the finish."""
    user: str | None
    metadata: dict[str, object] | None

    @property
    def stream_type(self) -> str | None:
        """The content type of this stream, where it is not the wire's."""
        return None


class Renderer(Protocol):
    """Renders one answer; keeps only what has been begun."""

    def frame(self, chunk: Chunk) -> bytes:
        """The frames of a chunk in a stream."""

    def torn(self, chunk: Chunk) -> bytes:
        """A frame that breaks off inside the chunk's text, framed as if it were whole."""

    def broken_off(self) -> bytes:
        """The first half of a frame."""

    def error_frame(self, code: str | None) -> bytes:
        """An error inside the stream."""

    def end(self) -> bytes:
        """The stream's end mark."""

    def whole(self, chunks: Sequence[Chunk]) -> bytes:
        """The body of an answer that is not streamed."""


class Wire(Protocol):
    """A wire format."""

    @property
    def stream_type(self) -> str:
        """The content type of a stream."""

    def takes(self, path: str) -> bool:
        """Whether calls in this format are posted to `path`."""

    def read(self, path: str, body: bytes) -> Ask:
        """Read a request; raises `BadCall`. `call` is in OpenAI's shape, whatever the format.

        `path` has the query behind it, if there is one.
        """

    def renderer(self, ask: Ask, number: int, created: int) -> Renderer:
        """A renderer for request `number`, created at this second since the epoch."""

    def error_body(self, rejection: Rejection) -> bytes:
        """The body of an error response."""
