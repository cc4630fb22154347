"""Provider that sends calls over HTTP in any wire format, and the client that it uses."""

import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar, cast

import httpx
import trio
from msgspec import Struct
from msgspec.structs import replace

from actors.ports import ignore
from actors.providers.formats.answer_calls import client_calls
from actors.providers.formats.base import Decoder, Format, RequestParts
from actors.providers.formats.body_kind import (
    BLANK,
    DOCUMENT,
    UNSPECIFIC,
    NotAnAnswer,
    choose_decoder,
)
from actors.providers.formats.openai_chat.decoder import OPENAI_CHAT
from actors.providers.formats.refusals import Refusals
from actors.providers.http.credentials import Credentials, FailureRecorder
from actors.providers.http.failures import (
    connection_failure,
    cut_failure,
    not_an_answer,
    status_failure,
)
from actors.providers.http.response import ResponseBody, read_beginning
from actors.providers.http.transport import TrioTransport
from actors.providers.redaction import scrubber
from actors.runtime.offload import THREADS, is_large, off_loop
from actors.turn.chunks import Chunk
from actors.turn.model_call import ModelCall, UpstreamFailure

T = TypeVar("T")

Choose = Callable[[bytes, bool], Decoder | None]
"""Returns the decoder for a body that begins with these bytes, or None if more are needed.

The bool is true if there are no more. Raises `UpstreamFailure` if the body isn't an answer."""

_MOST_REFUSED = 4
"""Refused fields of a call after which the next refusal is its failure."""


class UpstreamClient(httpx.AsyncClient):
    """An httpx client on `TrioTransport`.

    Model calls use `upstream`, the transport, directly: in `AsyncClient.send`, hooks, cookies,
    redirects and authentication take longer than the rest of the client takes for a request.
    """

    def __init__(self, upstream: TrioTransport) -> None:
        super().__init__(transport=upstream, trust_env=False, timeout=httpx.Timeout(None))
        self.upstream = upstream


class OpenResponse(Struct, frozen=True):
    """A response of status 200 whose body hasn't been read; the caller must finish the body."""

    media_type: str
    body: ResponseBody
    request: RequestParts
    record_failure: FailureRecorder
    """Records a failure of the answer for the key that was sent."""


class UpstreamProvider:
    """Base class of providers that have an address and credentials (`actors.ports.Provider`).

    Without `credentials` no key is sent. `refused` are fields and values that the server refuses,
    as in `ModelCall.refused`. Raises `ValueError` if the base URL cannot be used.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        credentials: Credentials | None,
        format: Format,
        now: Callable[[], float],
        refused: frozenset[str],
    ) -> None:
        url = _endpoint(name, base_url)
        self.name = name
        """Name of the provider in the configuration."""
        self._url = self._last_url = url
        self._last_path: str | None = None
        self._credentials = credentials or Credentials()
        self._format = format
        self._now = now
        self._refusals = Refusals(refused)
        self.threads = trio.CapacityLimiter(THREADS)
        """Limit on threads that build large requests and parse large documents."""
        self.scrub = scrubber(self._credentials.secrets, [url.host])
        """Removes the keys and the address from the provider's texts."""

    async def unsupported(self, call: ModelCall) -> tuple[str, ...]:
        """See `actors.ports.Provider.unsupported`."""
        left_out = partial(self._format.unsupported, self._accepted(call))
        return await off_loop(is_large(call.parameters, call.messages), self.threads, left_out)

    def _accepted(self, call: ModelCall) -> ModelCall:
        """Return the call with what the server is known to refuse."""
        refused = self._refusals.of(call.upstream_model)
        return replace(call, refused=refused) if refused else call

    async def _ask(self, call: ModelCall, ask: Callable[[ModelCall], Awaitable[T]]) -> T:
        """Return the result of `ask`; call it again without the fields that the server refuses.

        Raises `UpstreamFailure`. A field is remembered once the server has accepted the rest.
        """
        call, learned = self._accepted(call), frozenset[str]()
        while True:
            try:
                result = await ask(call)
            except UpstreamFailure as error:
                failure = error
            else:
                if learned:
                    self._refusals.learn(call.upstream_model, learned)
                return result
            words = await self._refused_by(call, failure)
            if not words or len(learned) >= _MOST_REFUSED:
                raise failure
            learned |= words
            call = replace(call, refused=call.refused | words)

    async def _refused_by(self, call: ModelCall, failure: UpstreamFailure) -> frozenset[str]:
        find = partial(self._format.refused_by, call, failure)
        return await off_loop(is_large(call.parameters, call.messages), self.threads, find)

    def _url_of(self, path: str) -> httpx.URL:
        """Return the URL of a path, caching the last one.

        httpx takes longer to assemble a URL than to send a request.
        """
        if self._last_path != path:
            self._last_path = path
            below, _, query = path.encode("ascii").partition(b"?")
            base = self._url.raw_path.partition(b"?")[0].rstrip(b"/")
            queries = b"&".join(filter(None, (query, self._url.query)))
            raw = base + below + (b"?" + queries if queries else b"")
            self._last_url = self._url.copy_with(raw_path=raw)
        return self._last_url


class HttpProvider(UpstreamProvider):
    """An upstream over HTTP. `client` comes from `make_client` and is closed by its creator."""

    def __init__(
        self,
        name: str,
        base_url: str,
        credentials: Credentials | None,
        client: UpstreamClient,
        *,
        format: Format = OPENAI_CHAT,
        now: Callable[[], float] = time.time,
        refused: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(name, base_url, credentials, format, now, refused)
        self._upstream = client.upstream

    async def open(
        self, call: ModelCall, *, connect_s: float, alive: Callable[[], None] = ignore
    ) -> "UpstreamAnswer":
        """See `actors.ports.Provider.open`."""
        return await self._ask(call, partial(self._open, connect_s=connect_s, alive=alive))

    async def _open(
        self, call: ModelCall, *, connect_s: float, alive: Callable[[], None]
    ) -> "UpstreamAnswer":
        format, large = self._format, is_large(call.parameters, call.messages)
        build = partial(format.build, call)
        opened = await self.send_request(build, large=large, connect_s=connect_s)
        request = opened.request
        # Not a partial of `opened`, which would keep the request until the end of the answer.
        choose = partial(self._choose, opened.media_type, request.names, request.call_ids)
        answer = UpstreamAnswer(opened.body, choose, request.ignored, opened.record_failure, alive)
        if opened.media_type not in (format.stream_type, DOCUMENT, *UNSPECIFIC):
            # Probably a page, so the call fails like one with another status.
            await answer.judge()
        return answer

    def _choose(
        self,
        media_type: str,
        names: Mapping[str, str],
        call_ids: frozenset[str],
        beginning: bytes,
        ended: bool,
    ) -> Decoder | None:
        try:
            make = choose_decoder(self._format, media_type, beginning, ended=ended)
        except NotAnAnswer:
            raise not_an_answer(media_type, self.scrub) from None
        if make is None:
            return None
        return client_calls(make(self.scrub), names, call_ids)

    async def send_request(
        self,
        build: Callable[[str | None], RequestParts],
        *,
        large: bool,
        connect_s: float,
    ) -> OpenResponse:
        """Send the request that `build` returns for a key; `large` ones are built in a thread.

        Raises `UpstreamFailure` for any status other than 200, and for a compressed body.
        """
        key = self._credentials.take()
        parts = await off_loop(large, self.threads, partial(build, key))
        try:
            response = await self._upstream.handle_async_request(self._request(parts, connect_s))
        except httpx.TransportError as error:
            raise connection_failure(error, self.scrub) from error
        body = cast("ResponseBody", response.stream)
        record_failure = partial(self._credentials.record_failure, key)
        if response.status_code != 200:
            beginning = await read_beginning(body)
            raise record_failure(status_failure(response, beginning, self.scrub, self._now))
        media_type = str(response.headers.get("content-type", "")).partition(";")[0].strip()
        if response.headers.get("content-encoding", "identity") != "identity":
            body.close()
            raise not_an_answer(media_type, self.scrub)
        self._credentials.record_success(key)
        return OpenResponse(media_type.lower(), body, parts, record_failure)

    def _request(self, parts: RequestParts, connect_s: float) -> httpx.Request:
        url = self._url_of(parts.path)
        headers = [
            ("host", url.netloc.decode("ascii")),
            ("user-agent", "trouper"),
            # `ResponseBody` does not decompress; compression would also delay tokens.
            ("accept-encoding", "identity"),
            ("content-length", str(len(parts.body))),
            *parts.headers,
        ]
        return httpx.Request(
            "POST",
            url,
            headers=headers,
            stream=httpx.ByteStream(parts.body),
            extensions={"timeout": {"connect": connect_s}},
        )


class AnswerBody(Protocol):
    """The connection of an answer."""

    async def receive(self) -> bytes:
        """Return the next bytes, or `b""` at the end. Raises `httpx.TransportError`."""

    def release(self, *, saw_end_marker: bool) -> None:
        """Finish the body, whose end may still be to come after an end marker."""

    def close(self) -> None:
        """Close the connection before returning."""


@dataclass(slots=True, eq=False)
class UpstreamAnswer:
    """An open answer (`actors.ports.AnswerStream`)."""

    _body: AnswerBody
    _choose: Choose
    ignored: tuple[str, ...]
    _record_failure: FailureRecorder
    _alive: Callable[[], None]
    _decoder: Decoder | None = None
    """Decoder of the body, once its beginning has shown which it needs."""
    _beginning: bytes = b""
    """Bytes that have been read but not decoded."""
    _ended: bool = False

    async def receive(self) -> list[Chunk]:
        """See `actors.ports.AnswerStream.receive`."""
        decoder = self._decoder
        try:
            if decoder is None or self._beginning:
                decoder = await self.judge()
                beginning, self._beginning = self._beginning, b""
                if chunks := decoder.feed(beginning):
                    return chunks
            while not (self._ended or decoder.over):
                data = await self._body.receive()
                if not data:
                    self._ended = True
                elif chunks := decoder.feed(data):
                    return chunks
                else:
                    self._alive()
            return decoder.end()
        except httpx.TransportError as error:
            self._ended = True
            raise cut_failure(error) from error
        except UpstreamFailure as failure:
            self._record_failure(failure)
            raise

    async def judge(self) -> Decoder:
        """Read until the body shows what it is. Raises `UpstreamFailure` if it isn't an answer."""
        try:
            while self._decoder is None:
                data = b"" if self._ended else await self._body.receive()
                self._ended = not data
                self._beginning = (self._beginning + data).lstrip(BLANK)
                self._decoder = self._choose(self._beginning, self._ended)
                self._alive()
        except httpx.TransportError as error:
            self._body.close()
            raise cut_failure(error) from error
        except BaseException:
            self._body.close()
            raise
        return self._decoder

    def release(self) -> None:
        """See `actors.ports.AnswerStream.release`."""
        decoder = self._decoder
        self._body.release(saw_end_marker=decoder is not None and decoder.saw_end_marker)

    def close(self) -> None:
        """See `actors.ports.AnswerStream.close`."""
        self._body.close()


def make_client(
    base_url: str, *, ca_file: str | None = None, max_idle: int = 1000, idle_s: float = 30.0
) -> UpstreamClient:
    """Return a client for one provider, with its own connection pool and without a proxy.

    Close it with `async with`.
    """
    tls = tls_context(base_url, ca_file)
    return UpstreamClient(TrioTransport(tls=tls, max_idle=max_idle, idle_s=idle_s))


def tls_context(base_url: str, ca_file: str | None) -> ssl.SSLContext | None:
    """Return the TLS context for an address, or None if it isn't https.

    Certificates are verified with the system's authorities or those in `ca_file`. Loading them
    blocks the thread for 16 ms, so it is done once for each provider.
    """
    https = httpx.URL(base_url).scheme == "https"
    return ssl.create_default_context(cafile=ca_file) if https else None


def _endpoint(name: str, base_url: str) -> httpx.URL:
    """Return the parsed base URL of a provider. Raises `ValueError` if it cannot be used."""
    url = httpx.URL(base_url)
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"the base URL of provider {name} is not http:// or https://")
    if url.userinfo:
        raise ValueError(f"the base URL of provider {name} has credentials in it: use api_key")
    return url
