"""One connection's socket, with the manners that an HTTP server's streams do not have."""

import socket
import struct
from typing import Protocol

import trio

_READ = 65_536
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Endpoint(Protocol):
    """A connection that can end in every way a real one does."""

    async def receive(self) -> bytes:
        """Wait for bytes; `b""` is the peer's FIN. Raises `trio.BrokenResourceError`."""

    async def send(self, data: bytes) -> None:
        """Send all of `data`; raises `trio.BrokenResourceError`.

        No checkpoint where the socket takes everything at once: callers sleep in between.
        """

    def close(self) -> None:
        """End the connection with a FIN; idempotent."""

    def reset(self) -> None:
        """End the connection with an RST."""


class SocketEndpoint:
    """An `Endpoint` over a connected non-blocking socket.

    It works below trio's streams, because one `send` for a token is all that a witness in a
    benchmark should cost.
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
            except OSError as problem:
                raise trio.BrokenResourceError(str(problem)) from None

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
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._socket.close()

    def _send_some(self, data: bytes) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as problem:
            raise trio.BrokenResourceError(str(problem)) from None
