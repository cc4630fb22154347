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

from actors.ports import ignore
from actors.providers.formats.answer_calls import client_calls
from actors.providers.formats.base import FormatSpec, RequestParts, Translation
from actors.providers.formats.openai_responses.decoder import (
    BASE_URL,
    OPENAI_RESPONSES,
    EventReader,
)
from actors.providers.formats.openai_responses.request import translate
from actors.providers.http.connection import Wire, open_wire
from actors.providers.http.credentials import Credentials, FailureRecorder
from actors.providers.http.failures import connection_failure, retry_after, status_failure
from actors.providers.http.provider import UpstreamAnswer, UpstreamProvider, tls_context
from actors.providers.http.response import fail_after
from actors.providers.http.transport import Connect
from actors.providers.http.websocket import Refused, Socket
from actors.providers.redaction import Scrub
from actors.runtime.offload import is_large, off_loop
from actors.turn.chunks import Chunk
from actors.turn.model_call import FailureKind, ModelCall, UpstreamFailure

_OF_BODIES = ("content-type", "accept")
"""Headers of HTTP requests that a WebSocket handshake does not have."""

Clock = Callable[[], float]
"""Returns seconds since the epoch."""


@asynccontextmanager
async def open_responses_ws(
    name: str,
    base_url: str,
    credentials: Credentials | None,
    *,
    ca_file: str | None = None,
    refused: frozenset[str] = frozenset(),
    connect: Connect = open_wire,
    now: Clock = time.time,
) -> AsyncIterator["ResponsesWsProvider"]:
    """Yield a provider; close its sockets on exit.

    Without `credentials` no key is sent. Certificates are verified with the system's authorities or
    those in `ca_file`. Raises `ValueError` if the base URL cannot be used.
    """
    tls = tls_context(base_url, ca_file)
    single: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            yield ResponsesWsProvider(
                name, base_url, credentials, nursery, tls, connect, now, refused
            )
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        # Socket tasks never raise, so a single exception comes from the body of the caller's
        # `async with`. Unwrap it: the nursery shouldn't change the exceptions callers see.
        if len(group.exceptions) > 1:
            raise
        single = group.exceptions[0]
    if single is not None:
        raise single


class ResponsesWsProvider(UpstreamProvider):
    """An upstream over WebSockets, from `open_responses_ws`."""

    def __init__(
        self,
        name: str,
        base_url: str,
        credentials: Credentials | None,
        nursery: trio.Nursery,
        tls: ssl.SSLContext | None,
        connect: Connect,
        now: Clock,
        refused: frozenset[str],
    ) -> None:
        super().__init__(name, base_url, credentials, _MESSAGES, now, refused)
        self._nursery = nursery
        self._tls = tls
        self._connect = connect

    async def open(
        self, call: ModelCall, *, connect_s: float, alive: Callable[[], None] = ignore
    ) -> "WsAnswer":
        """See `actors.ports.Provider.open`."""
        return await self._ask(call, partial(self._open, connect_s=connect_s, alive=alive))

    async def _open(
        self, call: ModelCall, *, connect_s: float, alive: Callable[[], None]
    ) -> "WsAnswer":
        key = self._credentials.take()
        large, build = is_large(call.parameters, call.messages), partial(self._format.build, call)
        parts = await off_loop(large, self.threads, partial(build, key))
        record_failure = partial(self._credentials.record_failure, key)
        try:
            answer = await self._answer(parts, record_failure, connect_s, alive)
        except httpx.TransportError as error:
            raise connection_failure(error, self.scrub) from error
        except Refused as refused:
            response, body = refused.response, refused.body
            failure = status_failure(response, body, self.scrub, self._now)
            raise record_failure(failure) from refused
        except UpstreamFailure as failure:
            record_failure(failure)
            raise
        self._credentials.record_success(key)
        return answer

    async def _answer(
        self,
        parts: RequestParts,
        record_failure: FailureRecorder,
        connect_s: float,
        alive: Callable[[], None],
    ) -> "WsAnswer":
        """Send the call and wait for the first event."""
        headers = [("user-agent", "trouper"), *(h for h in parts.headers if h[0] not in _OF_BODIES)]
        wire, url = await self._wire(connect_s), self._url_of(parts.path)
        socket = Socket(wire, url, headers, self.scrub, alive)
        reader = MessageReader(self.scrub, self._now)
        decoder = client_calls(reader, parts.names, parts.call_ids)
        answer = WsAnswer(socket, lambda *_: decoder, parts.ignored, record_failure, alive, decoder)
        try:
            await self._nursery.start(socket.run)
            await socket.send(parts.body)
            answer.first = decoder.feed(await socket.receive())
        except BaseException:
            socket.close()
            raise
        return answer

    async def _wire(self, connect_s: float) -> Wire:
        port = self._url.port or (80 if self._tls is None else 443)
        with fail_after(connect_s, httpx.ConnectTimeout):
            return await self._connect(self._url.raw_host.decode("ascii"), port, self._tls)


class WsAnswer(UpstreamAnswer):
    """An answer whose first event was received when it was opened."""

    __slots__ = ("first",)

    first: list[Chunk]
    """Chunks of that event; empty once they have been received."""

    async def receive(self) -> list[Chunk]:
        """See `actors.ports.AnswerStream.receive`."""
        first, self.first = self.first, []
        return first or await super().receive()


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

    def _fail_with(self, data: bytes) -> UpstreamFailure:
        failure = super()._fail_with(data)
        if failure.status is not None and not self._started:
            rejected = failure.status < 500
            failure.kind = FailureKind.REJECTED if rejected else FailureKind.SERVER_ERROR
            failure.retry_after_s = retry_after(_headers_of(data), self._now)
        return failure


def _headers_of(data: bytes) -> dict[str, str]:
    """Return the headers in an error event, with names in lower case."""
    try:
        event = msgspec.json.decode(data, type=_ErrorEvent)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    headers = {**(event.headers or {}), **((event.error and event.error.headers) or {})}
    return {name.lower(): value for name, value in headers.items() if isinstance(value, str)}


def _create(call: ModelCall) -> Translation:
    """Return the `response.create` message of a call."""
    translation = translate(call)
    return Translation({"type": "response.create", **translation.body}, translation.left_out)


_MESSAGES = msgspec.structs.replace(OPENAI_RESPONSES, translate=_create)

FORMAT = FormatSpec("responses-ws", OPENAI_RESPONSES, BASE_URL, open=open_responses_ws)
