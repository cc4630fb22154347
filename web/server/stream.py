"""Trio stream over a connected socket, with a non-blocking write."""

import socket
import struct

import trio
from trio.lowlevel import notify_closing, wait_readable, wait_writable

MAX_RECEIVE = 64 * 1024


class SocketStream(trio.abc.HalfCloseableStream):
    """A stream like `trio.SocketStream`, which is final, over a non-blocking stdlib socket.

    It waits for readability before it reads, because a server's next read nearly always has to
    wait: this saves a system call and an exception each time. Broken connections raise
    `trio.BrokenResourceError`, closed ones `trio.ClosedResourceError`.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock

    def try_send(self, data: bytes | memoryview) -> int:
        """Send as much as possible without waiting, and return the number of bytes, maybe 0."""
        try:
            return self.socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._translated(error) from error

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything. If cancelled, a part may have been sent."""
        await trio.lowlevel.checkpoint()
        with memoryview(data) as view:
            sent = self.try_send(view)
            while sent < len(view):
                await self.wait_send_all_might_not_block()
                with view[sent:] as rest:
                    sent += self.try_send(rest)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the socket is writable."""
        self._check_open()
        await wait_writable(self.socket)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Wait for data and return it; `b""` if the peer has closed its side."""
        while True:
            self._check_open()
            await wait_readable(self.socket)
            try:
                return self.socket.recv(max_bytes or MAX_RECEIVE)
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._translated(error) from error

    async def send_eof(self) -> None:
        """Close our side; data that was sent still arrives."""
        await trio.lowlevel.checkpoint()
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise self._translated(error) from error

    async def aclose(self) -> None:
        """Close at once. Tasks that wait on the socket get `trio.ClosedResourceError`."""
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Close at once, without a checkpoint."""
        if self.socket.fileno() != -1:
            notify_closing(self.socket)
            self.socket.close()

    def reset(self) -> None:
        """Close with RST, so that the peer cannot mistake the data so far for all of it."""
        if self.socket.fileno() != -1:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close()

    def _check_open(self) -> None:
        if self.socket.fileno() == -1:
            raise trio.ClosedResourceError("this socket was closed")

    def _translated(self, error: OSError) -> Exception:
        if self.socket.fileno() == -1:
            return trio.ClosedResourceError("this socket was closed")
        return trio.BrokenResourceError(f"the connection is broken: {error}")
