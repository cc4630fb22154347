"""Writes to a connection: immediately if the socket accepts the data, else with a deadline."""

import structlog
import trio

from web.server.dead_peer import has_vanished
from web.server.settings import Context
from web.server.stream import SocketStream

_PIECE = 16 * 1024
"""Size in bytes of a write; each has to finish within the stall deadline."""

Address = tuple[str, int] | None
ServerStream = trio.SSLStream[SocketStream] | trio.abc.HalfCloseableStream

_log = structlog.stdlib.get_logger("trouper.http")


class ConnectionWriter:
    """The ordered writer of one connection.

    Data for a broken connection is dropped silently, because the reader notices the end.
    """

    def __init__(self, stream: ServerStream, client: Address, context: Context) -> None:
        self._stream = stream
        self._socket_stream = socket_stream(stream)
        self._direct = stream if isinstance(stream, SocketStream) else None
        self._client = client
        self._context = context
        self._lock: trio.Lock | None = None
        """Lock for waiting writes, created on first use, which is rare."""

    def write_now(self, data: bytes) -> bytes:
        """Send as much as possible without waiting; return the rest, `b""` if all was sent."""
        if self._direct is None or (self._lock is not None and self._lock.locked()):
            return data
        try:
            return data[self._direct.try_send(data) :]
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""

    async def write_rest(self, data: bytes) -> None:
        """Send everything, after earlier writes; close the connection if a write stalls.

        Shielded, because half a frame must not be followed by another one. The deadline inside
        bounds the time.
        """
        self._lock = lock = self._lock or trio.Lock()
        with trio.CancelScope(shield=True):
            async with lock:
                for start in range(0, len(data), _PIECE):
                    if not await self._write_piece(data[start : start + _PIECE]):
                        return

    async def write(self, data: bytes) -> None:
        """Send everything, waiting only if necessary."""
        rest = self.write_now(data)
        if rest:
            await self.write_rest(rest)

    async def _write_piece(self, piece: bytes) -> bool:
        with trio.move_on_after(self._context.settings.write_stall_s):
            try:
                await self._stream.send_all(piece)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return False
            return True
        self._context.counters.write_stalls += 1
        _log.info("write stalled", client=self._client)
        await trio.aclose_forcefully(self._socket_stream)
        return False

    def reset(self) -> None:
        """Close with RST, so that the client cannot mistake a partial response for a whole one."""
        if isinstance(self._socket_stream, SocketStream):
            self._socket_stream.reset()

    def peer_has_vanished(self, patience_s: float) -> bool:
        """Return True if the peer should have acknowledged data, but did not for `patience_s`."""
        stream = self._socket_stream
        return isinstance(stream, SocketStream) and has_vanished(stream.socket, patience_s)

    def cut(self) -> None:
        """Close now; this also ends a stalled write, which is shielded from cancellation."""
        if isinstance(self._socket_stream, SocketStream):
            self._socket_stream.close()


def socket_stream(stream: ServerStream) -> trio.abc.AsyncResource:
    """Return the stream under TLS, or the stream itself."""
    return stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
