"""The way out of a connection: at once where the socket takes it, else with a deadline."""

import structlog
import trio

from web.server.counters import Counters
from web.server.stream import SocketStream
from web.server.vanished import has_vanished

_PIECE = 16 * 1024
"""A write that gets this much through within the stall deadline is not stalled."""

Address = tuple[str, int] | None
ServerStream = SocketStream | trio.SSLStream[SocketStream] | trio.abc.HalfCloseableStream

log = structlog.stdlib.get_logger("web.server")


class Writer:
    """Writes to one connection, in order. On a dead one everything vanishes: the reader sees it."""

    def __init__(
        self, stream: ServerStream, client: Address, stall_s: float, counters: Counters
    ) -> None:
        self._stream = stream
        self._socket_stream = socket_stream(stream)
        self._direct = stream if isinstance(stream, SocketStream) else None
        self._client = client
        self._stall_s = stall_s
        self._counters = counters
        self._lock: trio.Lock | None = None
        """Made when a write has to wait for the first time, which is mostly never."""

    def write_now(self, data: bytes) -> bytes:
        """Send what the socket takes at once; returns the rest, `b""` if that was all."""
        if self._direct is None or (self._lock is not None and self._lock.locked()):
            return data
        try:
            return data[self._direct.try_send(data) :]
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""

    async def write_rest(self, data: bytes) -> None:
        """Send everything, in turn; gives up on the connection when a write stalls.

        Shielded, because half a frame must not be followed by another; the deadline is inside.
        """
        self._lock = lock = self._lock or trio.Lock()
        with trio.CancelScope(shield=True):
            async with lock:
                for start in range(0, len(data), _PIECE):
                    if not await self._write_piece(data[start : start + _PIECE]):
                        return

    async def write(self, data: bytes) -> None:
        """Both, one after the other."""
        rest = self.write_now(data)
        if rest:
            await self.write_rest(rest)

    async def _write_piece(self, piece: bytes) -> bool:
        with trio.move_on_after(self._stall_s):
            try:
                await self._stream.send_all(piece)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return False
            return True
        self._counters.write_stalls += 1
        log.info("write_stalled", client=self._client)
        await trio.aclose_forcefully(self._socket_stream)
        return False

    def reset(self) -> None:
        """Close so that the client cannot take what it got for the whole."""
        if isinstance(self._socket_stream, SocketStream):
            self._socket_stream.reset()

    def peer_has_vanished(self, patience_s: float) -> bool:
        """Whether the peer has not answered the kernel for so long, and ought to have."""
        stream = self._socket_stream
        return isinstance(stream, SocketStream) and has_vanished(stream.socket, patience_s)

    def cut(self) -> None:
        """Close now, so that not even a stalled write, which is shielded, goes on."""
        if isinstance(self._socket_stream, SocketStream):
            self._socket_stream.close()


def socket_stream(stream: ServerStream) -> trio.abc.AsyncResource:
    """The stream under TLS, or the stream itself."""
    return stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
