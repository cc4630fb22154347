"""Interface of a wire format: builds the request of a call and decodes its answer."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from actors.ports import Provider
from actors.providers.formats.native_content import for_api
from actors.providers.http.credentials import Credentials
from actors.providers.redaction import Scrub
from actors.runtime.json_pieces import encoded
from actors.turn.chunks import Chunk
from actors.turn.model_call import JSON, ModelCall


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


class Translation(Struct, frozen=True):
    """The body of a request, and the paths of the parts of the call that it leaves out."""

    body: dict[str, JSON]
    left_out: tuple[str, ...]


class Format(Struct, frozen=True, kw_only=True):
    """A wire format: builds requests and decodes answers of one provider API."""

    api: str = ""
    """Name of the API, which its signed reasoning, parts and requests have as their `api`."""
    media: frozenset[str] = frozenset({"image"})
    """The kinds of media that the API has (`actors.providers.formats.media`); `text` is a file
    with text."""
    path: Callable[[str], str]
    """Returns the path of a call to a model; see `RequestParts.path`."""
    translate: Callable[[ModelCall], Translation]
    """Returns the body of the request for a call.

    Parts that the API cannot express, such as `logit_bias` or `messages[0].content[1]`, are left
    out. They are reported to the client, so that nothing is dropped silently."""
    stream_decoder: Callable[[Scrub], Decoder]
    """Returns a decoder for an answer that is a stream."""
    whole_decoder: Callable[[Scrub], Decoder]
    """Returns a decoder for an answer that is one JSON document."""
    stream_type: str = "text/event-stream"
    """Media type of the format's streams; see `actors.providers.formats.body_kind`."""
    headers: tuple[tuple[str, str], ...] = ()
    """Headers of every request, apart from `content-type`, `accept` and the credentials."""
    key_header: tuple[str, str] = ("authorization", "Bearer ")
    """Name of the header with the API key, and the text before the key."""

    def unsupported(self, call: ModelCall) -> tuple[str, ...]:
        """Return the paths of the parts of a call that `build` leaves out."""
        return self._translated(call).left_out

    def build(self, call: ModelCall, api_key: str | None) -> RequestParts:
        """Return the request for a call, without credentials if `api_key` is None."""
        headers = [
            ("content-type", "application/json"),
            ("accept", f"{self.stream_type}, application/json"),
            *self.headers,
        ]
        if api_key is not None:
            name, prefix = self.key_header
            headers.append((name, prefix + api_key))
        translation = self._translated(call)
        body = encoded(translation.body)
        path = self.path(call.upstream_model)
        return RequestParts(path, tuple(headers), body, translation.left_out)

    def _translated(self, call: ModelCall) -> Translation:
        call, left_out = for_api(call, self.api, self.media)
        translation = self.translate(call)
        if not left_out:
            return translation
        return replace(translation, left_out=(*left_out, *translation.left_out))


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
    format: Format
    base_url: str | None = None
    """Default of `base_url` in the configuration; None if it must be given."""
    embeddings_path: str | None = None
    """Path of the embeddings endpoint below the base URL; None without one."""
    open: OpenProvider | None = None
    """Opens a provider that does not use HTTP requests; None for `HttpProvider`."""
