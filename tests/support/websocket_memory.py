"""WebSocket server for tests: trio-websocket over streams in memory."""

import ssl
from collections.abc import Awaitable, Callable

import httpx
import trio
from trio.testing import MemoryReceiveStream, MemorySendStream, memory_stream_pair
from trio_websocket import WebSocketConnection, WebSocketRequest, wrap_server_stream

from actors.providers.http.connection import Wire

Stream = trio.StapledStream[MemorySendStream, MemoryReceiveStream]


class StreamWire:
    """One end of a pair of memory streams, as a `Wire`."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.closed = False

    async def receive(self) -> bytes:
        try:
            return bytes(await self._stream.receive_some())
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpx.ReadError("broken") from error

    def receive_nowait(self) -> bytes | None:
        raise AssertionError("a socket must not be read without waiting")

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
    """A server that runs a handler for each connection in the nursery of a test."""

    def __init__(self, nursery: trio.Nursery, handler: Callable[["Peer"], Awaitable[None]]) -> None:
        self._nursery = nursery
        self._handler = handler
        self.wires: list[StreamWire] = []
        self.connects: list[tuple[str, int, bool]] = []
        self.connect_s = 0.0

    async def connect(self, host: str, port: int, tls: ssl.SSLContext | None) -> Wire:
        """Connect the provider to a new handler; replaces its `connect` function."""
        self.connects.append((host, port, tls is not None))
        await trio.sleep(self.connect_s)
        ours, theirs = memory_stream_pair()
        self.wires.append(StreamWire(ours))
        self._nursery.start_soon(self._handler, Peer(theirs, self._nursery))
        return self.wires[-1]

    @property
    def open(self) -> int:
        """Number of connections that the provider has not closed."""
        return sum(not wire.closed for wire in self.wires)


class Peer:
    """The server side of one connection."""

    def __init__(self, stream: Stream, nursery: trio.Nursery) -> None:
        self.stream = stream
        self._nursery = nursery

    async def request(self) -> WebSocketRequest:
        """Return the client's handshake request."""
        return await wrap_server_stream(self._nursery, self.stream)

    async def accept(self) -> WebSocketConnection:
        """Complete the handshake and return the socket."""
        return await (await self.request()).accept()
