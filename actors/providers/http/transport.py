"""httpx transport on trio sockets: HTTP/1.1, one read and no generator per token.

httpx's own transport takes more than half of the cost of a token, leaks pool slots when requests
are cancelled, and discards a connection whose answer was left at the end marker. This one supports
neither HTTP/2 nor proxies. It opens as many connections as there are concurrent requests; to limit
them, hold a `trio.CapacityLimiter` around each request.
"""

import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress

import httpx
import trio
from msgspec import Struct

from actors.providers.http.body import Body, body_for
from actors.providers.http.connection import Disconnected, Wire, open_wire
from actors.providers.http.heads import Head, keeps_alive, receive_head, request_bytes
from actors.providers.http.pool import IdlePool, Origin
from actors.providers.http.response import ResponseBody, deadline, seconds

_STALE_S = 1.0
"""Seconds within which a reused connection that was already closed fails.

Only then is the request sent again. A connection that closes later may have delivered the request,
which must not be charged twice (RFC 9110 §9.2.2)."""
_MAX_DRAINED = 262144
"""Maximum number of bytes of an unfinished body that are read to reuse its connection."""

Connect = Callable[[str, int, ssl.SSLContext | None], Awaitable[Wire]]
"""Opens a wire to a host and port; `open_wire` outside of tests."""


class Statistics(Struct, frozen=True):
    """Numbers of connections of a transport."""

    connecting: int
    open: int
    """Open connections, including idle ones."""
    idle: int


class _IdleConnection(Struct, frozen=True):
    """An idle connection and the reader of its last body, whose end may still be to come."""

    wire: Wire
    body: Body


class TrioTransport(httpx.AsyncBaseTransport):
    """A transport with its own connection pool; idle connections are kept for `idle_s` seconds.

    https needs a `tls` context.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        max_idle: int = 1000,
        idle_s: float = 30.0,
        connect: Connect = open_wire,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self._tls = tls
        self._connect = connect
        self._clock = clock
        self._pool: IdlePool[_IdleConnection] = IdlePool(
            max_idle, idle_s, clock, lambda kept: self._drop(kept.wire)
        )
        self._open: set[Wire] = set()
        self._connecting = 0

    def statistics(self) -> Statistics:
        """Return the numbers of connections."""
        return Statistics(self._connecting, len(self._open), len(self._pool))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request; the stream of the response is a `ResponseBody`."""
        content = await _content(request)
        origin = _origin(request.url)
        wire = self._take_idle(origin)
        # A server may close an idle connection just as it is reused: retry once on a new one.
        if wire is not None:
            began = self._clock()
            try:
                return await self._exchange(wire, origin, request, content)
            except Disconnected:
                if self._clock() - began > _STALE_S:
                    raise
        wire = await self._connect_new(origin, request)
        return await self._exchange(wire, origin, request, content)

    def _take_idle(self, origin: Origin) -> Wire | None:
        while (kept := self._pool.take(origin)) is not None:
            if _is_reusable(kept):
                return kept.wire
            self._drop(kept.wire)
        return None

    async def _connect_new(self, origin: Origin, request: httpx.Request) -> Wire:
        scheme, host, port = origin
        if scheme == "https" and self._tls is None:
            raise httpx.UnsupportedProtocol("https needs a TLS context")
        self._connecting += 1
        try:
            with deadline(request, "connect", httpx.ConnectTimeout):
                wire = await self._connect(host, port, self._tls if scheme == "https" else None)
        finally:
            self._connecting -= 1
        self._open.add(wire)
        return wire

    async def _exchange(
        self, wire: Wire, origin: Origin, request: httpx.Request, content: bytes
    ) -> httpx.Response:
        try:
            with deadline(request, "write", httpx.WriteTimeout):
                await _send(wire, request_bytes(request, content))
            with deadline(request, "read", httpx.ReadTimeout):
                head = await receive_head(wire, request.method)
            return self._response(wire, origin, request, head)
        except BaseException:  # including trio.Cancelled: a half-used connection can't be reused
            self._drop(wire)
            raise

    def _response(
        self, wire: Wire, origin: Origin, request: httpx.Request, head: Head
    ) -> httpx.Response:
        reader = body_for(request.method, head.status, head.headers)
        persistent = keeps_alive(request, head)

        def finish(keep: bool) -> None:
            if keep and persistent:
                self._pool.put(origin, _IdleConnection(wire, reader))
            else:
                self._drop(wire)

        body = ResponseBody(wire, reader, head.rest, finish, read_s=seconds(request, "read"))
        return httpx.Response(
            head.status,
            headers=head.headers,
            stream=body,
            extensions={
                "http_version": b"HTTP/" + head.http_version,
                "reason_phrase": head.reason,
            },
        )

    def _drop(self, wire: Wire) -> None:
        self._open.discard(wire)
        wire.close()

    async def aclose(self) -> None:
        """Close every connection, including those in use."""
        self._pool.clear()
        for wire in list(self._open):
            self._drop(wire)


def _is_reusable(kept: _IdleConnection) -> bool:
    """Return whether an idle connection can carry another request.

    Reads what has arrived since it became idle: the end of its last body, if that was still open.
    Anything else, or the end of the connection, makes it unusable.
    """
    body, read = kept.body, 0
    try:
        while (data := kept.wire.receive_nowait()) is not None:
            read += len(data)
            if not data or body.complete or read > _MAX_DRAINED:
                return False
            body.feed(data)
    except httpx.TransportError:
        return False
    return body.complete and body.clean


async def _content(request: httpx.Request) -> bytes:
    stream = request.stream
    if isinstance(stream, httpx.SyncByteStream):
        # The content is in memory; async iteration would cost a generator and trio's hooks for it.
        return b"".join(stream)
    return await request.aread()


async def _send(wire: Wire, data: bytes) -> None:
    # A peer that stops reading may have answered already, so read before failing.
    with suppress(httpx.WriteError):
        await wire.send(data)


def _origin(url: httpx.URL) -> Origin:
    default = 443 if url.scheme == "https" else 80
    return url.scheme, url.raw_host.decode("ascii"), url.port or default
