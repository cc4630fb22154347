"""Serves one client connection: reads without waiting for the protocol, writes with a deadline."""

import math
from contextlib import suppress
from typing import cast

import structlog
import trio
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h11 import H2ProtocolAssumedError
from hypercorn.typing import TaskGroup
from hypercorn.utils import parse_socket_addr

from actors.runtime.wait_queue import WaitQueue
from web.server.protocols.base import ProtocolContext
from web.server.protocols.http1 import Http1Protocol
from web.server.protocols.http2 import LAST_STREAM_ID, Http2Protocol
from web.server.settings import Context
from web.server.stream import MAX_RECEIVE, SocketStream
from web.server.tasks import Tasks, in_one_line
from web.server.writer import Address, ConnectionWriter, ServerStream, socket_stream

_CLOSE_S = 1.0

_log = structlog.stdlib.get_logger("trouper.http")


class Connection:
    """A client connection with its protocol object.

    A reader receives data and queues it for a feeder, a task that runs while data is queued. So
    the reader sees the end of the connection even while the protocol accepts no more data. The
    reader's cancel scope is the only timer: it limits idle time, slow request heads and the
    lingering after the last response, and is off while requests run.
    """

    def __init__(self, stream: ServerStream, context: Context) -> None:
        self._stream = stream
        self._context = context
        self._settings = context.settings
        self._counters = context.counters
        self.client, self._server = _addresses(socket_stream(stream))
        self._writer = ConnectionWriter(stream, self.client, context)
        self._clock = trio.CancelScope()
        self._idle = True
        self._head_begun = False
        self._closing = False
        self._gone = False
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._feeding = False
        self._drained = WaitQueue()
        self._unhandled = 0
        """Bytes that are pending or being handled."""
        self._reception = context.receive_budget.open(self._on_refused)
        self._machinery: trio.Nursery
        self._protocol_context: ProtocolContext
        self._protocol: Http1Protocol | Http2Protocol

    async def run(self) -> None:
        """Serve until either side closes, then wait for the requests to clean up.

        Raise the protocol's errors. The stream is closed in any case.
        """
        try:
            if await self._shake_hands():
                async with trio.open_nursery() as requests:
                    await self._serve(requests)
                    await self._close_stream()
                    await self._protocol.handle(Closed())
        finally:
            self._gone = True
            # They refer back to us, and full garbage collections are rare.
            for name in ("_protocol", "_protocol_context"):
                vars(self).pop(name, None)
            self._reception.close()
            await trio.aclose_forcefully(self._stream)

    async def _shake_hands(self) -> bool:
        if not isinstance(self._stream, trio.SSLStream):
            return True
        with trio.move_on_after(self._settings.tls_handshake_s):
            try:
                await self._stream.do_handshake()
            except trio.BrokenResourceError:
                return False
            return True
        return False

    async def _serve(self, requests: trio.Nursery) -> None:
        async with trio.open_nursery() as self._machinery:
            tasks = Tasks(requests, self._machinery, self._context)
            self._protocol_context = ProtocolContext(
                self._context,
                cast("TaskGroup", tasks),
                (isinstance(self._stream, trio.SSLStream), self.client, self._server),
                self.handle_protocol_event,
                self._writer,
            )
            self._protocol = self._first_protocol()
            await self._initiate()
            await self._read()
            self._machinery.cancel_scope.cancel()

    def _first_protocol(self) -> Http1Protocol | Http2Protocol:
        http2 = self._settings.http2
        if isinstance(self._stream, trio.SSLStream):
            if http2 and self._stream.selected_alpn_protocol() == "h2":
                return Http2Protocol(self._protocol_context)
            http2 = False
        return Http1Protocol(self._protocol_context, http2=http2)

    async def _initiate(self) -> None:
        await self._protocol.initiate()
        if self._context.leaving.is_set():
            self._announce_close()

    def _announce_close(self) -> None:
        """Announce the close over HTTP/2; in HTTP/1.1 each response says `Connection: close`."""
        protocol: object = getattr(self, "_protocol", None)  # missing until TLS is established
        if isinstance(protocol, Http2Protocol) and not self._gone:
            self._machinery.start_soon(protocol.goaway, LAST_STREAM_ID)

    @property
    def _idle_s(self) -> float:
        return min(self._settings.keep_alive_s, self._context.idle_s)

    async def _read(self) -> None:
        self._clock.deadline = trio.current_time() + self._idle_s
        with self._clock:
            while data := await self._receive():
                if not self._closing:
                    await self._take(data)
        if self._clock.cancelled_caught and self._idle and not self._closing:
            await self._on_idle_too_long()

    async def _receive(self) -> bytes:
        try:
            return bytes(await self._stream.receive_some(MAX_RECEIVE))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""

    async def _take(self, data: bytes) -> None:
        if self._idle:
            self._on_bytes_while_idle()
        self._pending.append(data)
        self._pending_bytes += len(data)
        self._unhandled += len(data)
        if not self._feeding:
            self._feeding = True
            self._machinery.start_soon(self._feed)
            return
        self._reception.resize(self._unhandled)
        if self._pending_bytes > self._settings.pipelined_bytes:
            await self._wait_for_feeder()

    def _on_bytes_while_idle(self) -> None:
        # Over HTTP/2 only a request ends idleness: otherwise pings would keep a connection open.
        if isinstance(self._protocol, Http1Protocol) and not self._head_begun:
            self._head_begun = True
            self._clock.deadline = trio.current_time() + self._settings.header_s

    async def _wait_for_feeder(self) -> None:
        """Pause until the feeder has taken the data; close if it is pipelined requests.

        Waiting gives a request's body backpressure. Pipelined requests could only be taken after
        the current response, and waiting for that would hide a disconnect.
        """
        if not self._protocol.takes_bytes:
            self._counters.pipelining_overflows += 1
            _log.warning("pipelining limit exceeded", client=self.client)
            self._closing = True
            self._clock.cancel()
            return
        await self._drained.wait()

    async def _feed(self) -> None:
        while self._pending:
            data = b"".join(self._pending)
            self._pending.clear()
            self._pending_bytes = 0
            self._drained.wake()
            await self._handle(data)
            self._unhandled -= len(data)
            self._reception.resize(self._unhandled + self._protocol.buffered_bytes)
        self._feeding = False

    def _on_refused(self) -> None:
        """Close: there is no room in the budget for data that cannot be handled yet."""
        self.cut()

    async def _handle(self, data: bytes) -> None:
        """Let the protocol handle received data; answer 400 to whatever it raises, and close.

        hypercorn, h2 and wsproto raise many kinds of exceptions on malformed input.
        """
        try:
            await self._protocol.handle(RawData(data))
        except H2ProtocolAssumedError as assumed:
            self._protocol = Http2Protocol(self._protocol_context)
            self._on_idle()
            await self._initiate()
            await self._handle(assumed.data)
        except Exception as error:
            self._counters.malformed_inputs += 1
            _log.warning("malformed input", client=self.client, error=in_one_line(error))
            await self._protocol.on_malformed()
            await self._begin_close()

    async def _on_idle_too_long(self) -> None:
        if self._head_begun:
            self._counters.slow_heads += 1
            _log.info("request head timed out", client=self.client)
        await self._protocol.on_head_timeout()

    def _on_idle(self) -> None:
        self._idle = True
        self._head_begun = False
        self._clock.deadline = trio.current_time() + self._idle_s
        if self._context.terminated.is_set():
            self._clock.cancel()

    def close_if_vanished(self) -> None:
        """Close if the client has not acknowledged sent data for too long."""
        # Less than `write_stall_s`, because the check runs only every 1/30 of that.
        if self._writer.peer_has_vanished(self._settings.write_stall_s * 14 / 15):
            self._counters.vanished_peers += 1
            _log.info("client vanished", client=self.client)
            self.cut()

    def cut(self) -> None:
        """Close now, even in the middle of a response."""
        self._writer.cut()

    def leave(self) -> None:
        """Close soon without losing a request: those that arrive until then are answered."""
        if self._idle and not self._head_begun:
            soon = trio.current_time() + self._idle_s
            self._clock.deadline = min(self._clock.deadline, soon)
        self._announce_close()

    def drain(self) -> None:
        """Close now if no request is in progress, else after the current responses."""
        if self._idle and not self._head_begun:
            self._clock.cancel()
        elif not self._gone and isinstance(self._protocol, Http2Protocol):
            # In a task, because the client may be slow to read it.
            self._machinery.start_soon(self._protocol.goaway)

    async def handle_protocol_event(self, event: Event) -> None:
        """Carry out an event of hypercorn's protocol classes."""
        if isinstance(event, RawData):
            await self._writer.write(event.data)
        elif isinstance(event, Updated):
            if event.idle:
                self._on_idle()
            else:
                self._idle = False
                self._clock.deadline = math.inf
        elif isinstance(event, Closed):
            await self._begin_close()

    async def _begin_close(self) -> None:
        """Send EOF and keep reading for `linger_s`.

        Closing a socket with unread data sends a reset, which can make the client lose the
        response.
        """
        if self._closing or self._gone:
            return
        self._closing = True
        self._clock.deadline = trio.current_time() + self._settings.linger_s
        if isinstance(self._stream, trio.SSLStream):
            self._clock.cancel()  # TLS cannot be half-closed: only closing sends its end
        else:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self._stream.send_eof()
        await self._protocol.handle(Closed())

    async def _close_stream(self) -> None:
        """Close; with TLS, send a close message first, within `_CLOSE_S`."""
        self._gone = True
        if isinstance(self._stream, trio.SSLStream):
            with trio.move_on_after(_CLOSE_S, shield=True):
                with suppress(trio.BrokenResourceError, trio.BusyResourceError):
                    await self._stream.aclose()
        await trio.aclose_forcefully(self._stream)


def _addresses(stream: trio.abc.AsyncResource) -> tuple[Address, Address]:
    if not isinstance(stream, SocketStream):
        return None, None
    sock = stream.socket
    try:
        peer, here = sock.getpeername(), sock.getsockname()
    except OSError:
        return None, None
    return parse_socket_addr(sock.family, peer), parse_socket_addr(sock.family, here)
