"""What a wire format is to `actors.providers.http`: a request, and a decoder of its answer."""

from typing import Protocol

from msgspec import Struct

from actors.chunks import Chunk
from actors.providers.base import ModelCall
from actors.providers.scrub import Scrub


class RequestParts(Struct, frozen=True):
    """A call as HTTP: `path` is appended to the provider's base URL."""

    path: str
    """ASCII, percent-encoded; it may have a query."""
    headers: tuple[tuple[str, str], ...]
    body: bytes
    ignored: tuple[str, ...] = ()
    """What `Format.unsupported` says of the call."""


class Decoder(Protocol):
    """Turns the bytes of one answer into chunks, sans IO."""

    @property
    def finished(self) -> bool:
        """A finish reason has been seen: what may follow is usage and the end marker."""

    @property
    def over(self) -> bool:
        """Nothing more is to be fed: the end marker or a failure has been seen."""

    @property
    def marked(self) -> bool:
        """The format's own end marker has been seen, behind which nothing comes."""

    def feed(self, data: bytes) -> list[Chunk]:
        """Chunks of what one read brought.

        Raises `UpstreamFailure`, at the next call where this one has chunks to return.
        """

    def end(self) -> list[Chunk]:
        """The rest; then `[]` at every call. Raises `UpstreamFailure` where the answer is cut."""


class Format(Protocol):
    """One wire format."""

    @property
    def stream_type(self) -> str:
        """The media type of its streams."""

    def unsupported(self, call: ModelCall) -> tuple[str, ...]:
        """Paths of what the call asks for and this format cannot say; `build` leaves it out.

        Such as `logit_bias` or `messages[0].content[1]`. The caller is told: nothing is dropped
        in silence.
        """

    def build(self, call: ModelCall, api_key: str | None) -> RequestParts:
        """The request for a call; keyless where `api_key` is None."""

    def stream_decoder(self, scrub: Scrub) -> Decoder:
        """For an answer of the media type `stream_type`."""

    def whole_decoder(self, scrub: Scrub) -> Decoder:
        """For an answer of one JSON document."""
