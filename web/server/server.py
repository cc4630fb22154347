"""HTTP server: accepts connections, isolates their errors, and drains.

Beyond the limit on connections, `refuse` answers a new one with 503 and closes it.
"""

import errno
import socket
from collections.abc import Sequence
from contextlib import suppress

import structlog
import trio
from hypercorn.typing import ASGIFramework
from hypercorn.utils import repr_socket_addr

from web.server.connection import Connection
from web.server.request_id import header_of, state_with_id
from web.server.settings import SAFETY, Context, ServerSettings
from web.server.stream import SocketStream
from web.server.tasks import in_one_line, split_cancelled

_TIMEOUT_S = 1.0
"""Seconds that the client has to send a request and read the response."""
_BODY = (
    b'{"error":{"message":"Too many connections are open.",'
    b'"type":"server_error","param":null,"code":"overloaded"}}'
)
_HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", b"%d" % len(_BODY)),
    (b"retry-after", b"1"),
    (b"connection", b"close"),
    *SAFETY,
]

_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_ACCEPT_PAUSE_S = 0.1
_OF_ONE_CONNECTION = {
    getattr(errno, name, 0)
    for name in (
        *("ECONNABORTED", "ECONNRESET", "EPERM", "EPROTO", "ETIMEDOUT", "ENOPROTOOPT"),
        *("ENETDOWN", "ENETUNREACH", "EHOSTDOWN", "EHOSTUNREACH", "EOPNOTSUPP", "ENONET"),
    )
}
"""Errors of `accept` that concern only one connection, so that accepting continues: accept(2)."""
_CHECKS_IN_A_ROW = 256
"""Number of connections that are checked for vanished peers before other tasks get to run."""
_CHECKS_PER_STALL = 30
"""Number of checks for vanished peers during `write_stall_s`."""

_log = structlog.stdlib.get_logger("trouper.http")


class HttpServer:
    """An HTTP server for an ASGI app, run in the caller's nursery.

    Lifespan events are not sent, because long-lived resources belong to the caller. To drain,
    call `stop_accepting` (or `leave`, if another process keeps accepting), then `drain`, then
    `close_all`. `serve` returns when the last connection is closed.
    """

    def __init__(self, app: ASGIFramework, settings: ServerSettings) -> None:
        self.ssl_context = settings.ssl_context
        """TLS context of new connections."""
        self._context = Context(app, settings)
        self._accepting = trio.CancelScope()
        self._serving = trio.CancelScope()
        self._connections: set[Connection] = set()
        self._emptied = trio.Event()
        self.counters = self._context.counters

    async def serve(
        self,
        sockets: Sequence[socket.socket],
        *,
        task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve listening sockets and close them at the end. Report their URLs as start value."""
        with self._serving:
            async with trio.open_nursery() as connections:
                try:
                    with self._accepting:
                        async with trio.open_nursery() as acceptors:
                            acceptors.start_soon(self._close_vanished_peers)
                            for sock in sockets:
                                acceptors.start_soon(self._accept, sock, connections)
                            task_status.started([self._url(sock) for sock in sockets])
                finally:
                    for sock in sockets:
                        sock.close()

    def stop_accepting(self) -> None:
        """Close the listeners, and each connection after its next response."""
        self._context.begin_close()
        self._accepting.cancel()

    def leave(self, idle_s: float) -> None:
        """Close the listeners, but answer requests that still arrive on open connections.

        A connection is closed after its next response, which announces it, or after `idle_s`
        seconds of silence. So no request is lost because client and server act at the same time.
        """
        self._context.begin_leaving(idle_s)
        self._accepting.cancel()
        for connection in list(self._connections):
            connection.leave()

    async def wait_closed(self) -> None:
        """Wait until all connections are closed."""
        while self._connections:
            self._emptied = trio.Event()
            await self._emptied.wait()

    async def drain(self, seconds: float) -> int:
        """Close idle connections at once, others after their current responses.

        Wait at most `seconds` and return the number of connections that are left.
        """
        self.stop_accepting()
        for connection in list(self._connections):
            connection.drain()
        with trio.move_on_after(seconds):
            await self.wait_closed()
        return len(self._connections)

    def close_all(self) -> None:
        """Close every connection and cancel its requests; `serve` returns after their clean-up."""
        self.stop_accepting()
        for connection in self._connections:
            connection.cut()
        self._serving.cancel()

    async def handle(self, stream: trio.abc.HalfCloseableStream) -> None:
        """Serve one client until it is gone. Errors affect only this client."""
        self.counters.connections += 1
        if len(self._connections) >= self._context.settings.max_connections:
            self.counters.connections_refused += 1
            await refuse(stream)
            return
        connection = self._connection(stream)
        self._connections.add(connection)
        self.counters.open += 1
        try:
            await self._run(connection)
        finally:
            self.counters.open -= 1
            self._connections.discard(connection)
            if not self._connections:
                self._emptied.set()

    async def _run(self, connection: Connection) -> None:
        try:
            await connection.run()
        except BaseException as error:  # noqa: ASYNC103 (the Cancelled in it is raised below)
            cancelled, real = split_cancelled(error)
            if real is not None:
                self.counters.connections_crashed += 1
                _log.error("connection failed", client=connection.client, error=in_one_line(real))
            if cancelled is not None:
                raise cancelled from None  # noqa: ASYNC104 (the rest was logged)

    def _connection(self, stream: trio.abc.HalfCloseableStream) -> Connection:
        if self.ssl_context is None or not isinstance(stream, SocketStream):
            return Connection(stream, self._context)
        tls = trio.SSLStream(stream, self.ssl_context, server_side=True, https_compatible=True)
        return Connection(tls, self._context)

    async def _accept(self, listener: socket.socket, connections: trio.Nursery) -> None:
        """Accept one connection per scheduler pass; the others wait in the kernel's queue.

        So a burst is served in order of arrival, and disconnects are seen promptly.
        """
        while True:
            await trio.lowlevel.wait_readable(listener)
            try:
                sock, _ = listener.accept()
            except BlockingIOError:
                continue
            except OSError as error:
                if error.errno in _OF_ONE_CONNECTION:
                    continue
                if error.errno not in _OUT_OF_RESOURCES:
                    raise
                _log.error("accept failed", error=error.strerror)
                await trio.sleep(_ACCEPT_PAUSE_S)
            else:
                sock.setblocking(False)
                connections.start_soon(self.handle, SocketStream(sock))

    async def _close_vanished_peers(self) -> None:
        """Close connections whose peers vanished. Not needed while draining, which ends sooner."""
        while True:
            await trio.sleep(self._context.settings.write_stall_s / _CHECKS_PER_STALL)
            for number, connection in enumerate(list(self._connections), 1):
                connection.close_if_vanished()
                if number % _CHECKS_IN_A_ROW == 0:
                    await trio.lowlevel.checkpoint()

    def _url(self, sock: socket.socket) -> str:
        scheme = "http" if self.ssl_context is None else "https"
        return f"{scheme}://{repr_socket_addr(sock.family, sock.getsockname())}"


async def refuse(stream: trio.abc.HalfCloseableStream) -> None:
    """Answer the first request with 503, if it arrives within `_TIMEOUT_S`, and close."""
    with trio.move_on_after(_TIMEOUT_S):
        with suppress(trio.BrokenResourceError):
            if await stream.receive_some(64 * 1024):
                await stream.send_all(_answer())
    await trio.aclose_forcefully(stream)


def _answer() -> bytes:
    headers = [*_HEADERS, header_of(state_with_id(()))]
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return b"HTTP/1.1 503 Service Unavailable\r\n%b\r\n%b" % (lines, _BODY)
