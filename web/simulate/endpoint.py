"""Socket of one connection that can end it by FIN or RST, which trio's streams can't."""

import socket
import struct
from typing import Protocol

import trio

_READ = 65_536
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Endpoint(Protocol):
    """A connection that can be closed or reset."""

    async def receive(self) -> bytes:
        """Wait for bytes; `b""` is the peer's FIN. Raises `trio.BrokenResourceError`."""

    async def send(self, data: bytes) -> None:
        """Send all of `data`. Raises `trio.BrokenResourceError`.

        Not a checkpoint if the socket accepts everything at once; callers sleep between sends.
        """

    def close(self) -> None:
        """End the connection with a FIN; idempotent."""

    def reset(self) -> None:
        """End the connection with an RST."""


class SocketEndpoint:
    """An `Endpoint` over a connected non-blocking socket.

    It bypasses trio's streams, because in a benchmark the simulated provider should cost no more
    than one `send` per token.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = sock

    async def receive(self) -> bytes:
        """See `Endpoint`."""
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            try:
                return self._socket.recv(_READ)
            except BlockingIOError:
                continue
            except OSError as error:
                raise trio.BrokenResourceError(str(error)) from None

    async def send(self, data: bytes) -> None:
        """See `Endpoint`."""
        sent = self._send_some(data)
        while sent < len(data):
            await trio.lowlevel.wait_writable(self._socket)
            sent += self._send_some(data[sent:])

    def close(self) -> None:
        """See `Endpoint`."""
        self._socket.close()

    def reset(self) -> None:
        """See `Endpoint`."""
        # With a linger time of 0 the kernel sends RST instead of FIN and drops unsent data.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._socket.close()

    def _send_some(self, data: bytes) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise trio.BrokenResourceError(str(error)) from None
