"""Provider that sends calls over HTTP in any wire format, and the client that it uses."""

import ssl
import time
from collections.abc import Callable
from functools import partial

import httpx
import trio
from msgspec import Struct

from actors.providers.formats.base import Decoder, Format, RequestParts
from actors.providers.formats.openai_chat.decoder import OPENAI_CHAT
from actors.providers.http.credentials import Credentials, FailureRecorder
from actors.providers.http.failures import connection_failure, status_failure
from actors.providers.http.response import ResponseBody, read_beginning
from actors.providers.http.transport import BODY, TrioTransport
from actors.providers.redaction import Scrub, scrubber
from actors.runtime.offload import THREADS, is_large, off_loop
from actors.turn.chunks import Chunk
from actors.turn.model_call import FailureKind, ModelCall, UpstreamFailure

_WHOLE = "application/json"
"""Media type of an answer that is one document."""


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

    response: httpx.Response
    body: ResponseBody
    ignored: tuple[str, ...]
    """Paths that the request leaves out."""
    record_failure: FailureRecorder
    """Records a failure of the answer for the key that was sent."""


class HttpProvider:
    """An upstream over HTTP (`actors.ports.Provider`).

    Without `credentials` no key is sent. `client` comes from `make_client` and is closed by its
    creator. Raises `ValueError` if the base URL cannot be used.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        credentials: Credentials | None,
        client: UpstreamClient,
        *,
        format: Format = OPENAI_CHAT,
        after_finish_s: float = 1.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        url = endpoint(name, base_url)
        self._name = name
        self._url = self._last_url = url
        self._last_path: str | None = None
        self._credentials = credentials or Credentials()
        self._upstream = client.upstream
        self._format = format
        self._after_finish_s = after_finish_s
        self._now = now
        self.threads = trio.CapacityLimiter(THREADS)
        """Limit on threads that build large requests and parse large documents."""
        self.scrub = scrubber(self._credentials.secrets, [url.host])
        """Removes the keys and the address from the provider's texts."""

    @property
    def name(self) -> str:
        """The provider's name in the configuration."""
        return self._name

    async def unsupported(self, call: ModelCall) -> tuple[str, ...]:
        """See `actors.ports.Provider.unsupported`."""
        left_out = partial(self._format.unsupported, call)
        return await off_loop(is_large(call.parameters, call.messages), self.threads, left_out)

    async def open(self, call: ModelCall, *, connect_s: float) -> "HttpAnswer":
        """See `actors.ports.Provider.open`."""
        build = partial(self._format.build, call)
        return self._answer(
            await self.send_request(
                build, large=is_large(call.parameters, call.messages), connect_s=connect_s
            )
        )

    async def send_request(
        self, build: Callable[[str | None], RequestParts], *, large: bool, connect_s: float
    ) -> OpenResponse:
        """Send the request that `build` returns for a key; `large` ones are built in a thread.

        Raises `UpstreamFailure` for any status other than 200.
        """
        key = self._credentials.take()
        parts = await off_loop(large, self.threads, partial(build, key))
        request = self._request(parts, connect_s)
        try:
            response = await self._upstream.handle_async_request(request)
        except httpx.TransportError as error:
            raise connection_failure(error, self.scrub) from error
        body = _body_of(response)
        if response.status_code == 200:
            return OpenResponse(
                response, body, parts.ignored, partial(self._credentials.record_failure, key)
            )
        failure = status_failure(response, await read_beginning(body), self.scrub, self._now)
        raise self._credentials.record_failure(key, failure)

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

    def _answer(self, opened: OpenResponse) -> "HttpAnswer":
        kind = media_type(opened.response)
        if kind == self._format.stream_type:
            decoder = self._format.stream_decoder(self.scrub)
        elif kind == _WHOLE:
            decoder = self._format.whole_decoder(self.scrub)
        else:
            opened.body.close()
            raise not_an_answer(opened.response, self.scrub)
        return HttpAnswer(opened, decoder, self._after_finish_s)


class HttpAnswer:
    """An open answer over HTTP (`actors.ports.AnswerStream`)."""

    __slots__ = (
        "_after_finish_s",
        "_body",
        "_decoder",
        "_ended",
        "_record_failure",
        "_rest_until",
        "ignored",
    )

    def __init__(self, opened: OpenResponse, decoder: Decoder, after_finish_s: float) -> None:
        self._body = opened.body
        self._decoder = decoder
        self._record_failure = opened.record_failure
        self.ignored = opened.ignored
        self._after_finish_s = after_finish_s
        self._rest_until: float | None = None
        """Time at which waiting for the rest of a finished answer ends; None before the finish."""
        self._ended = False

    async def receive(self) -> list[Chunk]:
        """See `actors.ports.AnswerStream.receive`."""
        decoder = self._decoder
        try:
            while not (self._ended or decoder.over):
                data = await (self._read_rest() if decoder.finished else self._body.receive())
                if not data:
                    self._ended = True
                elif chunks := decoder.feed(data):
                    return chunks
            return decoder.end()
        except httpx.TransportError as error:
            self._ended = True
            raise UpstreamFailure(
                FailureKind.TRUNCATED, "the connection to the provider broke"
            ) from error
        except UpstreamFailure as failure:
            self._record_failure(failure)
            raise

    async def _read_rest(self) -> bytes:
        """Receive what follows the finish reason, or b"" at a timeout or connection error.

        The answer is complete, so neither may delay the client or fail the turn.
        """
        if self._rest_until is None:
            self._rest_until = trio.current_time() + self._after_finish_s
        with trio.move_on_at(self._rest_until):
            try:
                return await self._body.receive()
            except httpx.TransportError:
                return b""
        return b""

    def release(self) -> None:
        """See `actors.ports.AnswerStream.release`."""
        if self._decoder.saw_end_marker:
            self._body.release()
        else:
            self._body.release_if_complete()

    def close(self) -> None:
        """See `actors.ports.AnswerStream.close`."""
        self._body.close()


def make_client(
    base_url: str, *, ca_file: str | None = None, max_idle: int = 1000, idle_s: float = 30.0
) -> UpstreamClient:
    """Return a client for one provider, with its own connection pool and without a proxy.

    Close it with `async with`. Certificates are verified with the system's authorities or those in
    `ca_file`. Loading them blocks the thread for 16 ms, so it is done once and only for https.
    """
    https = httpx.URL(base_url).scheme == "https"
    tls = ssl.create_default_context(cafile=ca_file) if https else None
    return UpstreamClient(TrioTransport(tls=tls, max_idle=max_idle, idle_s=idle_s))


def endpoint(name: str, base_url: str) -> httpx.URL:
    """Return the parsed base URL of a provider. Raises `ValueError` if it cannot be used."""
    url = httpx.URL(base_url)
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"the base URL of provider {name} is not http:// or https://")
    if url.userinfo:
        raise ValueError(f"the base URL of provider {name} has credentials in it: use api_key")
    return url


def media_type(response: httpx.Response) -> str | None:
    """Return the media type of a response, or None if its body is compressed."""
    if response.headers.get("content-encoding", "identity") != "identity":
        return None
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


def not_an_answer(response: httpx.Response, scrub: Scrub) -> UpstreamFailure:
    """Return the failure for a response of status 200 whose media type isn't an answer's."""
    kind = str(response.headers.get("content-type", "")).partition(";")[0].strip()[:80]
    text = scrub(f"the provider sent {kind or 'something'} instead of an answer")
    return UpstreamFailure(FailureKind.SERVER_ERROR, text, status=200)


def _body_of(response: httpx.Response) -> ResponseBody:
    body = response.extensions.get(BODY)
    if not isinstance(body, ResponseBody):
        raise TypeError("the client was not made by make_client")
    return body
