"""HTTP/1.1 and HTTP/2 clients of the harness's application over connections in memory."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpcore
import httpx
import trio
from msgspec.structs import replace

from tests.support.edge_harness import EdgeHarness
from tests.support.responses_socket import SETTINGS, serve_sockets

FOREVER = httpx.Timeout(None)
Connect = Callable[[], trio.abc.HalfCloseableStream]


class MemoryStream(httpcore.AsyncNetworkStream):
    """One connection, as httpcore reads and writes it."""

    def __init__(self, stream: trio.abc.HalfCloseableStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, *_: object, **__: object) -> bytes:
        return bytes(await self._stream.receive_some(max_bytes))

    async def write(self, buffer: bytes, *_: object, **__: object) -> None:
        await self._stream.send_all(buffer)

    async def aclose(self) -> None:
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        return None


class MemoryNetwork(httpcore.AsyncNetworkBackend):
    """A network on which every address is the server's."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    async def connect_tcp(self, *_: object, **__: object) -> MemoryStream:
        await trio.lowlevel.checkpoint()
        return MemoryStream(self._connect())


@asynccontextmanager
async def memory_client(harness: EdgeHarness, *, http2: bool) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the application and yield a client that speaks HTTP/2 with prior knowledge, or 1.1."""
    async with serve_sockets(harness, replace(SETTINGS, http2=http2)) as server:
        transport = httpx.AsyncHTTPTransport(http1=not http2, http2=http2)
        transport._pool = httpcore.AsyncConnectionPool(
            http1=not http2, http2=http2, network_backend=MemoryNetwork(server.connect)
        )
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost:8700", timeout=FOREVER
        ) as client:
            yield client
