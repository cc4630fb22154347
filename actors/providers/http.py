"""Providers that are asked over HTTP, in whichever wire format."""

import ssl
import time
from collections.abc import Callable
from functools import partial

import httpx
import trio
from msgspec import Struct

from actors.chunks import Chunk
from actors.heavy import THREADS, is_large, off_loop
from actors.providers.base import FailureKind, ModelCall, UpstreamFailure
from actors.providers.credentials import Credentials, Judge
from actors.providers.endpoint import endpoint
from actors.providers.failures import connection_failure, status_failure
from actors.providers.formats import Decoder, Format, RequestParts
from actors.providers.openai_chat import OpenAIChat
from actors.providers.response import ResponseBody, beginning
from actors.providers.scrub import Scrub, scrubber
from actors.providers.transport import BODY, TrioTransport

_WHOLE = "application/json"


class UpstreamClient(httpx.AsyncClient):
    """httpx's client on our transport, for whatever httpx is good at.

    Calls of models go to its `upstream` directly: `AsyncClient.send` takes longer for its hooks,
    cookies, redirects and authentication than the rest of the client takes for a request.
    """

    def __init__(self, upstream: TrioTransport) -> None:
        super().__init__(transport=upstream, trust_env=False, timeout=httpx.Timeout(None))
        self.upstream = upstream


def make_client(
    base_url: str, *, ca_file: str | None = None, max_idle: int = 1000, idle_s: float = 30.0
) -> UpstreamClient:
    """A provider's client, with a pool of its own and no proxy; `async with` closes it.

    Certificates are verified with the system's authorities or those in `ca_file`. Loading them
    takes 16 ms of this thread, so it is done here, once, and only for https.
    """
    https = httpx.URL(base_url).scheme == "https"
    tls = ssl.create_default_context(cafile=ca_file) if https else None
    return UpstreamClient(TrioTransport(tls=tls, max_idle=max_idle, idle_s=idle_s))


class Asked(Struct, frozen=True):
    """The head of a response of status 200. Whoever asked closes or leaves its body."""

    response: httpx.Response
    body: ResponseBody
    ignored: tuple[str, ...]
    """What the request leaves out."""
    judge: Judge
    """Notes what a failure of the answer says of the key that was sent."""


class HttpProvider:
    """An upstream over HTTP (`actors.providers.base.Provider`).

    `keys` are its credentials, or its only key; None is keyless. Whoever made `client` (with
    `make_client`) closes it. Raises `ValueError` where the base URL or the key cannot be used.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        keys: Credentials | str | None,
        client: UpstreamClient,
        *,
        format: Format | None = None,
        after_finish_s: float = 1.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        url = endpoint(name, base_url)
        self._name = name
        self._url = self._last_url = url
        self._last_path: str | None = None
        self._credentials = (
            keys if isinstance(keys, Credentials) else Credentials(None if keys is None else [keys])
        )
        self._upstream = client.upstream
        self._format: Format = OpenAIChat() if format is None else format
        self._after_finish_s = after_finish_s
        self._now = now
        self.threads = trio.CapacityLimiter(THREADS)
        """These make large requests, and read large answers that are no streams."""
        self.scrub = scrubber(self._credentials.secrets, [url.host])
        """Takes the keys and the address out of what the provider says."""

    @property
    def name(self) -> str:
        """The provider's name in the configuration."""
        return self._name

    async def unsupported(self, call: ModelCall) -> tuple[str, ...]:
        """See `actors.providers.base.Provider.unsupported`."""
        unsaid = partial(self._format.unsupported, call)
        return await off_loop(is_large(call), self.threads, unsaid)

    async def open(self, call: ModelCall, *, connect_s: float) -> "HttpAnswer":
        """See `actors.providers.base.Provider.open`."""
        build = partial(self._format.build, call)
        return self._answer(await self.ask(build, large=is_large(call), connect_s=connect_s))

    async def ask(
        self, build: Callable[[str | None], RequestParts], *, large: bool, connect_s: float
    ) -> Asked:
        """Send what `build` makes with a key, in a thread where it is large.

        Raises `UpstreamFailure` for any other status than 200.
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
            return Asked(response, body, parts.ignored, partial(self._credentials.judge, key))
        failure = status_failure(response, await beginning(body), self.scrub, self._now)
        raise self._credentials.judge(key, failure)

    def _request(self, parts: RequestParts, connect_s: float) -> httpx.Request:
        url = self._url_of(parts.path)
        headers = [
            ("host", url.netloc.decode("ascii")),
            ("user-agent", "trouper"),
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
        """The last one is kept: httpx takes longer to put it together than to send a request."""
        if self._last_path != path:
            self._last_path = path
            below, _, query = path.encode("ascii").partition(b"?")
            base = self._url.raw_path.partition(b"?")[0].rstrip(b"/")
            queries = b"&".join(filter(None, (query, self._url.query)))
            raw = base + below + (b"?" + queries if queries else b"")
            self._last_url = self._url.copy_with(raw_path=raw)
        return self._last_url

    def _answer(self, asked: Asked) -> "HttpAnswer":
        kind = media_type(asked.response)
        if kind == self._format.stream_type:
            decoder = self._format.stream_decoder(self.scrub)
        elif kind == _WHOLE:
            decoder = self._format.whole_decoder(self.scrub)
        else:
            asked.body.close()
            raise not_an_answer(asked.response, self.scrub)
        return HttpAnswer(asked, decoder, self._after_finish_s)


class HttpAnswer:
    """An open answer (`actors.providers.base.Answer`)."""

    __slots__ = (
        "_after_finish_s",
        "_body",
        "_decoder",
        "_ended",
        "_judge",
        "_rest_until",
        "ignored",
    )

    def __init__(self, asked: Asked, decoder: Decoder, after_finish_s: float) -> None:
        self._body = asked.body
        self._decoder = decoder
        self._judge = asked.judge
        self.ignored = asked.ignored
        self._after_finish_s = after_finish_s
        self._rest_until: float | None = None
        """When a finished answer is not waited for any longer."""
        self._ended = False

    async def receive(self) -> list[Chunk]:
        """See `actors.providers.base.Answer.receive`."""
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
            self._judge(failure)
            raise

    async def _read_rest(self) -> bytes:
        """What comes behind the finish reason, which must not make anybody wait or fail."""
        if self._rest_until is None:
            self._rest_until = trio.current_time() + self._after_finish_s
        with trio.move_on_at(self._rest_until):
            try:
                return await self._body.receive()
            except httpx.TransportError:
                return b""
        return b""

    def release(self) -> None:
        """See `actors.providers.base.Answer.release`."""
        if self._decoder.marked:
            self._body.release()
        else:
            self._body.leave()

    def close(self) -> None:
        """See `actors.providers.base.Answer.close`."""
        self._body.close()


def media_type(response: httpx.Response) -> str | None:
    """The type of a body that can be read as it is; None for an encoded one."""
    if response.headers.get("content-encoding", "identity") != "identity":
        return None
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


def not_an_answer(response: httpx.Response, scrub: Scrub) -> UpstreamFailure:
    """A response of status 200 that has another media type than an answer."""
    kind = str(response.headers.get("content-type", "")).partition(";")[0].strip()[:80]
    text = scrub(f"the provider sent {kind or 'something'} instead of an answer")
    return UpstreamFailure(FailureKind.SERVER_ERROR, text, status=200)


def _body_of(response: httpx.Response) -> ResponseBody:
    body = response.extensions.get(BODY)
    if not isinstance(body, ResponseBody):
        raise TypeError("the client was not made by make_client")
    return body
