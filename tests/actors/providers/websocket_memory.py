"""A WebSocket server without a network: trio-websocket's own, over streams in memory."""

import ssl
from collections.abc import Awaitable, Callable

import httpx
import trio
from trio.testing import MemoryReceiveStream, MemorySendStream, memory_stream_pair
from trio_websocket import WebSocketConnection, WebSocketRequest, wrap_server_stream

from actors.providers.wire import Wire

Stream = trio.StapledStream[MemorySendStream, MemoryReceiveStream]


class StreamWire:
    """One end of a pair of memory streams, as a connection of ours."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.closed = False

    async def receive(self) -> bytes:
        try:
            return bytes(await self._stream.receive_some())
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpx.ReadError("broken") from error

    def receive_nowait(self) -> bytes | None:
        raise AssertionError("nobody looks at a socket without waiting")

    async def send(self, data: bytes) -> None:
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpx.WriteError("broken pipe") from error

    def close(self) -> None:
        self.closed = True
        self._stream.send_stream.close()
        self._stream.receive_stream.close()


class Server:
    """Serves each connection by a handler, in the nursery of a test."""

    def __init__(self, nursery: trio.Nursery, handler: Callable[["Peer"], Awaitable[None]]) -> None:
        self._nursery = nursery
        self._handler = handler
        self.wires: list[StreamWire] = []
        self.asked: list[tuple[str, int, bool]] = []
        self.connect_s = 0.0

    async def connect(self, host: str, port: int, tls: ssl.SSLContext | None) -> Wire:
        """What the provider connects with."""
        self.asked.append((host, port, tls is not None))
        await trio.sleep(self.connect_s)
        ours, theirs = memory_stream_pair()
        self.wires.append(StreamWire(ours))
        self._nursery.start_soon(self._handler, Peer(theirs, self._nursery))
        return self.wires[-1]

    @property
    def open(self) -> int:
        """How many connections the provider has not closed."""
        return sum(not wire.closed for wire in self.wires)


class Peer:
    """The server's side of one connection."""

    def __init__(self, stream: Stream, nursery: trio.Nursery) -> None:
        self.stream = stream
        self._nursery = nursery

    async def request(self) -> WebSocketRequest:
        """The handshake that the client asks for."""
        return await wrap_server_stream(self._nursery, self.stream)

    async def accept(self) -> WebSocketConnection:
        """The socket, with its handshake done."""
        return await (await self.request()).accept()
