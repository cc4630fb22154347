"""Runs `web.server` with a small app on a real socket, and connects raw clients to it."""

import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio
from quart import Response, request, websocket
from trio.lowlevel import wait_readable, wait_writable

from web.config import Address
from web.http.connection import request_stack
from web.http.quart_app import TrouperApp
from web.process.listeners import open_sockets
from web.server import HttpServer, ServerSettings

GET = b"GET %b HTTP/1.1\r\nHost: test\r\n\r\n"


class RecordingApp:
    """A Quart app that reports the start and the cancellation of its requests."""

    def __init__(self) -> None:
        self.quart = TrouperApp(__name__)
        self._started, self.started = trio.open_memory_channel[str](10_000)
        self._ended, self.ended = trio.open_memory_channel[float](10_000)
        self.live = 0
        self._add_routes()

    def _add_routes(self) -> None:
        @self.quart.get("/")
        async def index() -> dict[str, int]:
            return {"a": 1}

        @self.quart.get("/stream")
        async def stream() -> Response:
            count, pause = request.args.get("n", 5, int), request.args.get("pause", 0.01, float)
            return Response(_parts(count, pause), content_type="text/event-stream")

        @self.quart.get("/turn/<how>")
        async def turn(how: str) -> Response:
            self.live += 1
            request_stack(request).callback(self._end)
            self._started.send_nowait(how)
            if how == "before_headers":
                await trio.sleep_forever()
            return Response(_forever(how), content_type="text/event-stream")

        @self.quart.post("/length")
        async def length() -> str:
            return str(len(await request.get_data()))

        @self.quart.websocket("/ws")
        async def echo() -> None:
            while True:
                await websocket.send(await websocket.receive())

    def _end(self) -> None:
        self.live -= 1
        self._ended.send_nowait(trio.current_time())


async def _parts(count: int, pause: float) -> AsyncIterator[bytes]:
    for number in range(count):
        yield b"data: %d\n\n" % number
        await trio.sleep(pause)


async def _forever(how: str) -> AsyncIterator[bytes]:
    yield b"data: first\n\n"
    if how == "silent":
        await trio.sleep_forever()
    while True:
        if how == "flood":
            yield b"x" * 65536
        elif how == "broken":
            raise RuntimeError("on purpose")
        else:
            await trio.sleep(2)
            yield b"data: again\n\n"


class RawClient:
    """One TCP connection for handwritten bytes, well-formed or not."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    async def send(self, data: bytes) -> None:
        """Send all of `data`."""
        view = memoryview(data)
        while view:
            try:
                view = view[self.sock.send(view) :]
            except BlockingIOError:
                await wait_writable(self.sock)

    async def receive(self, *, resets: bool = False) -> bytes:
        """Return the next bytes; `b""` at EOF and, unless `resets`, after a reset."""
        await wait_readable(self.sock)
        try:
            return self.sock.recv(65536)
        except ConnectionResetError:
            if resets:
                raise
            return b""

    async def read_until(self, mark: bytes) -> bytes:
        """Read until `mark` has been received, or to the end."""
        got = b""
        while mark not in got and (data := await self.receive()):
            got += data
        return got

    async def read_all(self, *, resets: bool = False) -> bytes:
        """Read to the end; with `resets` a connection reset raises."""
        got = b""
        while data := await self.receive(resets=resets):
            got += data
        return got

    def disconnect(self, how: str) -> None:
        """Close by `fin` or `rst`, or shut down only the sending side (`half`)."""
        if how == "half":
            self.sock.shutdown(socket.SHUT_WR)
            return
        if how == "rst":
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Close the socket; repeated calls are harmless."""
        if self.sock.fileno() != -1:
            trio.lowlevel.notify_closing(self.sock)
            self.sock.close()


class RunningServer:
    """A running server with its app and address."""

    def __init__(self, server: HttpServer, app: RecordingApp, address: tuple[str, int]) -> None:
        self.server = server
        self.app = app
        self.address = address

    @asynccontextmanager
    async def client(self, *, receive_buffer: int | None = None) -> AsyncIterator[RawClient]:
        """Open a connection to the server."""
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client = RawClient(sock)
        try:
            sock.connect(self.address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(False)
            yield client
        finally:
            client.close()

    async def get(self, path: str = "/") -> bytes:
        """Send one request on a new connection and return the raw response."""
        async with self.client() as client:
            await client.send(b"GET %b HTTP/1.0\r\nHost: t\r\n\r\n" % path.encode())
            return await client.read_all()


@asynccontextmanager
async def serving(
    settings: ServerSettings, sockets: Sequence[socket.socket] = ()
) -> AsyncIterator[RunningServer]:
    """Serve the app on these sockets, or else on a free loopback port."""
    app = RecordingApp()
    server = HttpServer(app.quart, settings)
    sockets = sockets or open_sockets(Address("127.0.0.1", 0), (), settings)
    address = sockets[0].getsockname()
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, sockets)
        try:
            yield RunningServer(server, app, address)
        finally:
            server.close_all()
