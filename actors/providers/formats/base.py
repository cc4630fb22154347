"""Interface of a wire format: builds the request of a call and decodes its answer."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec import Struct

from actors.ports import Provider
from actors.providers.http.credentials import Credentials
from actors.providers.redaction import Scrub
from actors.turn.chunks import Chunk
from actors.turn.model_call import ModelCall


class RequestParts(Struct, frozen=True):
    """Parts of the HTTP request for a call."""

    path: str
    """Path to append to the provider's base URL: ASCII, percent-encoded, maybe with a query."""
    headers: tuple[tuple[str, str], ...]
    body: bytes
    ignored: tuple[str, ...] = ()
    """Paths that the request leaves out, as returned by `Format.unsupported`."""


class Decoder(Protocol):
    """A decoder that turns the bytes of one answer into chunks, sans IO."""

    @property
    def finished(self) -> bool:
        """True once a finish reason has been seen; only usage and the end marker may follow."""

    @property
    def over(self) -> bool:
        """True if nothing more should be fed: the end marker or a failure has been seen."""

    @property
    def saw_end_marker(self) -> bool:
        """True once the format's own end marker has been seen; nothing follows it."""

    def feed(self, data: bytes) -> list[Chunk]:
        """Return the chunks of one read.

        Raises `UpstreamFailure`; if this call has chunks to return, the next call raises it.
        """

    def end(self) -> list[Chunk]:
        """Return the remaining chunks; further calls return `[]`.

        Raises `UpstreamFailure` if the answer was cut off.
        """


class Format(Protocol):
    """A wire format: builds requests and decodes answers of one provider API."""

    @property
    def stream_type(self) -> str:
        """Media type of the format's streams."""

    def unsupported(self, call: ModelCall) -> tuple[str, ...]:
        """Return the paths of the parts of a call that this format cannot express.

        For example `logit_bias` or `messages[0].content[1]`. `build` leaves these parts out. They
        are reported to the client, so that nothing is dropped silently.
        """

    def build(self, call: ModelCall, api_key: str | None) -> RequestParts:
        """Return the request for a call, without credentials if `api_key` is None."""

    def stream_decoder(self, scrub: Scrub) -> Decoder:
        """Return a decoder for an answer of media type `stream_type`."""

    def whole_decoder(self, scrub: Scrub) -> Decoder:
        """Return a decoder for an answer that is one JSON document."""


class OpenProvider(Protocol):
    """A function that opens a provider with connections of its own."""

    def __call__(
        self, name: str, base_url: str, credentials: Credentials, /, *, ca_file: str | None
    ) -> AbstractAsyncContextManager[Provider]:
        """Return a context that closes the connections."""


class FormatSpec(Struct, frozen=True):
    """Specification of one wire format."""

    name: str
    """The `format` in the configuration."""
    make: Callable[[], Format]
    base_url: str | None = None
    """Default of `base_url` in the configuration; None if it must be given."""
    embeddings_path: str | None = None
    """Path of the embeddings endpoint below the base URL; None without one."""
    open: OpenProvider | None = None
    """Opens a provider that does not use HTTP requests; None for `HttpProvider` with `make`."""
