"""The `responses-ws` format: OpenAI's Responses API over a WebSocket.

One socket per answer: `response.create` goes out as one message, and the events that come back,
one message each, are those of the stream over HTTP. What a response's status is there is an error
event here, so that a call counts as opened when the first event has come.

The sockets are trio-websocket's, held by tasks of the provider (`actors.providers.websocket`).
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

from actors.chunks import Chunk
from actors.heavy import THREADS, encoded, is_large, off_loop
from actors.providers.base import FailureKind, ModelCall, UpstreamFailure
from actors.providers.credentials import Credentials, Judge
from actors.providers.deadlines import fail_after
from actors.providers.endpoint import endpoint
from actors.providers.failures import connection_failure, retry_after, status_failure
from actors.providers.openai_responses import PATH
from actors.providers.openai_responses_events import EventReader
from actors.providers.openai_responses_request import translate
from actors.providers.scrub import Scrub, scrubber
from actors.providers.transport import Connect
from actors.providers.websocket import Refused, Socket, SocketClosed, Upgrade
from actors.providers.wire import Wire, open_wire

Clock = Callable[[], float]
"""Gives seconds since the epoch."""


@asynccontextmanager
async def open_responses_ws(
    name: str,
    base_url: str,
    keys: Credentials | str | None,
    *,
    ca_file: str | None = None,
    connect: Connect = open_wire,
    now: Clock = time.time,
) -> AsyncIterator["ResponsesWsProvider"]:
    """A provider, whose sockets are closed at the end.

    Certificates are verified with the system's authorities or those in `ca_file`. Raises
    `ValueError` where the base URL or the key cannot be used.
    """
    url = endpoint(name, base_url)
    tls = ssl.create_default_context(cafile=ca_file) if url.scheme == "https" else None
    if tls is not None:
        tls.set_alpn_protocols(["http/1.1"])
    lone: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            yield ResponsesWsProvider(name, url, _credentials(keys), nursery, tls, connect, now)
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        # The tasks of sockets never raise: a lone exception is that of whoever uses the provider.
        if len(group.exceptions) > 1:
            raise
        lone = group.exceptions[0]
    if lone is not None:
        raise lone


def _credentials(keys: Credentials | str | None) -> Credentials:
    if isinstance(keys, Credentials):
        return keys
    return Credentials(None if keys is None else [keys])


class ResponsesWsProvider:
    """An upstream (`actors.providers.base.Provider`); made by `open_responses_ws`."""

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
        """See `actors.providers.base.Provider.unsupported`."""
        said = await off_loop(is_large(call), self._threads, partial(translate, call))
        return said.unsaid

    async def open(self, call: ModelCall, *, connect_s: float) -> "WsAnswer":
        """See `actors.providers.base.Provider.open`."""
        key = self._credentials.take()
        try:
            return await self._ask(call, key, connect_s)
        except UpstreamFailure as failure:
            self._credentials.judge(key, failure)
            raise

    async def _ask(self, call: ModelCall, key: str | None, connect_s: float) -> "WsAnswer":
        build = partial(_message, call)
        message, ignored = await off_loop(is_large(call), self._threads, build)
        socket = await self._socket(key, connect_s)
        judge = partial(self._credentials.judge, key)
        answer = WsAnswer(socket, self._scrub, self._now, judge, ignored)
        try:
            await answer.ask(message)
        except BaseException:
            answer.close()
            raise
        return answer

    async def _socket(self, key: str | None, connect_s: float) -> Socket:
        try:
            socket = Socket(await self._wire(connect_s))
            try:
                await self._nursery.start(socket.hold, self._upgrade(key))
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
    """What is sent, and paths of what it leaves out."""
    said = translate(call)
    return encoded({"type": "response.create", **said.body}), said.unsaid


class WsAnswer:
    """An open answer (`actors.providers.base.Answer`)."""

    __slots__ = ("_first", "_judge", "_reader", "_socket", "ignored")

    def __init__(
        self, socket: Socket, scrub: Scrub, now: Clock, judge: Judge, ignored: tuple[str, ...]
    ) -> None:
        self._socket = socket
        self._judge = judge
        self.ignored = ignored
        self._reader = MessageReader(scrub, now)
        self._first: list[Chunk] = []

    async def ask(self, message: bytes) -> None:
        """Send the call and wait for the first event. Raises `UpstreamFailure`."""
        await self._socket.send(message)
        self._first = await self._next(FailureKind.REFUSED)

    async def receive(self) -> list[Chunk]:
        """See `actors.providers.base.Answer.receive`."""
        chunks, self._first = self._first, []
        try:
            while not (chunks or self._reader.over):
                chunks = await self._next(FailureKind.TRUNCATED)
            return chunks or self._reader.end()
        except UpstreamFailure as failure:
            self._judge(failure)
            raise

    async def _next(self, ended: FailureKind) -> list[Chunk]:
        """What the next message brings; `ended` is what it is called if there is none."""
        try:
            return self._reader.feed(await self._socket.receive())
        except SocketClosed as closed:
            raise self._reader.cut(ended, str(closed)) from closed

    def release(self) -> None:
        """See `actors.providers.base.Answer.release`."""
        self._socket.release()

    def close(self) -> None:
        """See `actors.providers.base.Answer.close`."""
        self._socket.close()


class _Headers(Struct):
    """The headers that an error event has in the place of a response's."""

    headers: dict[str, object] | None = None


class _ErrorEvent(Struct):
    headers: dict[str, object] | None = None
    error: _Headers | None = None


class MessageReader(EventReader):
    """Reads an answer message by message."""

    def __init__(self, scrub: Scrub = str, now: Clock = time.time) -> None:
        super().__init__(scrub)
        self._now = now

    def feed(self, message: bytes) -> list[Chunk]:
        """The chunks of a message.

        Raises `UpstreamFailure`, at the next call where this one has chunks to return.
        """
        if self._failure is not None:
            raise self._failure
        chunks: list[Chunk] = []
        with self._chunks_first(chunks):
            self._read(message, chunks)
        return chunks

    def end(self) -> list[Chunk]:
        """`[]` where the answer is whole. Raises `UpstreamFailure` where it is not."""
        self._check_finished()
        return []

    def cut(self, kind: FailureKind, why: str) -> UpstreamFailure:
        """The failure of an answer whose connection has ended before it."""
        return self._fail(kind, self._scrub(why))

    def _fail_with(self, data: bytes) -> UpstreamFailure:
        failure = super()._fail_with(data)
        if failure.status is not None and not self._begun:
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
