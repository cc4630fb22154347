"""Wire format `responses-ws`: OpenAI's Responses API over a WebSocket.

Each answer has its own socket. `response.create` is sent as one message; the events that come back,
one per message, are those of the HTTP stream. HTTP statuses become error events, so a call counts
as open once the first event has arrived.

The sockets are trio-websocket's, run by tasks of the provider (`actors.providers.http.websocket`).
"""

import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import httpx
import msgspec
import trio
from msgspec import Struct

from actors.providers.formats.base import FormatSpec
from actors.providers.formats.openai_responses.decoder import (
    BASE_URL,
    OPENAI_RESPONSES,
    PATH,
    EventReader,
)
from actors.providers.formats.openai_responses.request import translate
from actors.providers.http.connection import Wire, open_wire
from actors.providers.http.credentials import Credentials, FailureRecorder
from actors.providers.http.failures import connection_failure, retry_after, status_failure
from actors.providers.http.provider import endpoint
from actors.providers.http.response import fail_after
from actors.providers.http.transport import Connect
from actors.providers.http.websocket import Refused, Socket, SocketClosed, Upgrade
from actors.providers.redaction import Scrub, scrubber
from actors.runtime.json_pieces import encoded
from actors.runtime.offload import THREADS, is_large, off_loop
from actors.turn.chunks import Chunk
from actors.turn.model_call import FailureKind, ModelCall, UpstreamFailure

Clock = Callable[[], float]
"""Returns seconds since the epoch."""


@asynccontextmanager
async def open_responses_ws(
    name: str,
    base_url: str,
    credentials: Credentials | None,
    *,
    ca_file: str | None = None,
    connect: Connect = open_wire,
    now: Clock = time.time,
) -> AsyncIterator["ResponsesWsProvider"]:
    """Yield a provider; close its sockets on exit.

    Without `credentials` no key is sent. Certificates are verified with the system's authorities or
    those in `ca_file`. Raises `ValueError` if the base URL cannot be used.
    """
    url = endpoint(name, base_url)
    tls = ssl.create_default_context(cafile=ca_file) if url.scheme == "https" else None
    if tls is not None:
        # A server that chose HTTP/2 would refuse the WebSocket upgrade.
        tls.set_alpn_protocols(["http/1.1"])
    single: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            keys = credentials or Credentials()
            yield ResponsesWsProvider(name, url, keys, nursery, tls, connect, now)
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        # Socket tasks never raise, so a single exception comes from the body of the caller's
        # `async with`. Unwrap it: the nursery shouldn't change the exceptions callers see.
        if len(group.exceptions) > 1:
            raise
        single = group.exceptions[0]
    if single is not None:
        raise single


class ResponsesWsProvider:
    """An upstream over WebSockets (`actors.ports.Provider`), from `open_responses_ws`."""

    def __init__(
        self,
        name: str,
        url: httpx.URL,
        credentials: Credentials,
        nursery: trio.Nursery,
        tls: ssl.SSLContext | None,
        connect: Connect,
        now: Clock,
    ) -> None:
        self._name = name
        self._url = url
        self._credentials = credentials
        self._nursery = nursery
        self._tls = tls
        self._connect = connect
        self._now = now
        self._threads = trio.CapacityLimiter(THREADS)
        self._scrub = scrubber(credentials.secrets, [url.host])

    @property
    def name(self) -> str:
        """The provider's name in the configuration."""
        return self._name

    async def unsupported(self, call: ModelCall) -> tuple[str, ...]:
        """See `actors.ports.Provider.unsupported`."""
        translation = await off_loop(
            is_large(call.parameters, call.messages), self._threads, partial(translate, call)
        )
        return translation.left_out

    async def open(self, call: ModelCall, *, connect_s: float) -> "WsAnswer":
        """See `actors.ports.Provider.open`."""
        key = self._credentials.take()
        try:
            return await self._open_answer(call, key, connect_s)
        except UpstreamFailure as failure:
            self._credentials.record_failure(key, failure)
            raise

    async def _open_answer(self, call: ModelCall, key: str | None, connect_s: float) -> "WsAnswer":
        build = partial(_message, call)
        message, ignored = await off_loop(
            is_large(call.parameters, call.messages), self._threads, build
        )
        socket = await self._socket(key, connect_s)
        record_failure = partial(self._credentials.record_failure, key)
        answer = WsAnswer(socket, self._scrub, self._now, record_failure, ignored)
        try:
            await answer.start(message)
        except BaseException:
            answer.close()
            raise
        return answer

    async def _socket(self, key: str | None, connect_s: float) -> Socket:
        try:
            socket = Socket(await self._wire(connect_s))
            try:
                await self._nursery.start(socket.run, self._upgrade(key))
            except BaseException:
                socket.close()
                raise
        except httpx.TransportError as error:
            raise connection_failure(error, self._scrub) from error
        except Refused as refused:
            raise status_failure(
                refused.response, refused.body, self._scrub, self._now
            ) from refused
        return socket

    async def _wire(self, connect_s: float) -> Wire:
        port = self._url.port or (80 if self._tls is None else 443)
        with fail_after(connect_s, httpx.ConnectTimeout):
            return await self._connect(self._url.raw_host.decode("ascii"), port, self._tls)

    def _upgrade(self, key: str | None) -> Upgrade:
        headers = [("user-agent", "trouper")]
        if key is not None:
            headers.append(("authorization", f"Bearer {key}"))
        target = self._url.raw_path.decode("ascii").rstrip("/") + PATH
        return Upgrade(self._url.netloc.decode("ascii"), target, tuple(headers))


def _message(call: ModelCall) -> tuple[bytes, tuple[str, ...]]:
    """Return the `response.create` message and the paths of what it leaves out."""
    translation = translate(call)
    return encoded({"type": "response.create", **translation.body}), translation.left_out


class WsAnswer:
    """An open answer over a WebSocket (`actors.ports.AnswerStream`)."""

    __slots__ = ("_first_chunks", "_reader", "_record_failure", "_socket", "ignored")

    def __init__(
        self,
        socket: Socket,
        scrub: Scrub,
        now: Clock,
        record_failure: FailureRecorder,
        ignored: tuple[str, ...],
    ) -> None:
        self._socket = socket
        self._record_failure = record_failure
        self.ignored = ignored
        self._reader = MessageReader(scrub, now)
        self._first_chunks: list[Chunk] = []

    async def start(self, message: bytes) -> None:
        """Send the call and wait for the first event. Raises `UpstreamFailure`."""
        await self._socket.send(message)
        self._first_chunks = await self._next(FailureKind.REFUSED)

    async def receive(self) -> list[Chunk]:
        """See `actors.ports.AnswerStream.receive`."""
        chunks, self._first_chunks = self._first_chunks, []
        try:
            while not (chunks or self._reader.over):
                chunks = await self._next(FailureKind.TRUNCATED)
            return chunks or self._reader.end()
        except UpstreamFailure as failure:
            self._record_failure(failure)
            raise

    async def _next(self, ended: FailureKind) -> list[Chunk]:
        """Return the chunks of the next message; `ended` is the failure kind if none comes."""
        try:
            return self._reader.feed(await self._socket.receive())
        except SocketClosed as closed:
            raise self._reader.cut(ended, str(closed)) from closed

    def release(self) -> None:
        """See `actors.ports.AnswerStream.release`."""
        self._socket.release()

    def close(self) -> None:
        """See `actors.ports.AnswerStream.close`."""
        self._socket.close()


class _Headers(Struct):
    """Headers of an error event, which replace those of an HTTP response."""

    headers: dict[str, object] | None = None


class _ErrorEvent(Struct):
    headers: dict[str, object] | None = None
    error: _Headers | None = None


class MessageReader(EventReader):
    """Reader of an answer sent as WebSocket messages."""

    def __init__(self, scrub: Scrub = str, now: Clock = time.time) -> None:
        super().__init__(scrub)
        self._now = now

    def cut(self, kind: FailureKind, why: str) -> UpstreamFailure:
        """Return the failure of an answer whose connection ended too early."""
        return self._fail(kind, self._scrub(why))

    def _fail_with(self, data: bytes) -> UpstreamFailure:
        failure = super()._fail_with(data)
        if failure.status is not None and not self._started:
            rejected = failure.status < 500
            failure.kind = FailureKind.REJECTED if rejected else FailureKind.SERVER_ERROR
            failure.retry_after_s = retry_after(_retry_header(data), self._now)
        return failure


def _retry_header(data: bytes) -> str | None:
    try:
        event = msgspec.json.decode(data, type=_ErrorEvent)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    headers = {**(event.headers or {}), **((event.error and event.error.headers) or {})}
    value = {name.lower(): value for name, value in headers.items()}.get("retry-after")
    return value if isinstance(value, str) else None


FORMAT = FormatSpec("responses-ws", OPENAI_RESPONSES, BASE_URL, open=open_responses_ws)
