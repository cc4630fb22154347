"""Responses WebSockets in memory: our server, and trio-websocket as the client."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx
import pytest
import trio
from hypercorn.typing import ASGIFramework
from openai.types.responses.responses_server_event import ResponsesServerEvent
from trio.testing import memory_stream_pair
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from tests.support.edge_harness import EdgeHarness
from tests.support.responses_readers import DOCUMENTED, LAST, check_grammar
from tests.support.strict_types import strictly
from web.app import create_app
from web.server import HttpServer, ServerSettings

Object = dict[str, Any]
Pair = tuple[trio.abc.HalfCloseableStream, trio.abc.HalfCloseableStream]

HANDSHAKE = (
    b"GET /v1/responses HTTP/1.1\r\nHost: localhost\r\n"
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
PONG = b"\x8a\x80\x00\x00\x00\x00"
TIMEOUT_S = 200_000
"""Virtual seconds; generous, because virtual time passes while a thread works."""
SETTINGS = ServerSettings(write_stall_s=30, linger_s=2, websocket_ping_s=1000)


def masked_frame(text: str) -> bytes:
    """Return a short text as a masked client frame."""
    data = text.encode()
    assert len(data) < 126
    return b"\x81" + bytes([0x80 | len(data)]) + b"\x00\x00\x00\x00" + data


class ResponsesSocket:
    """The client side of a socket; it validates every event that it receives."""

    def __init__(
        self,
        connection: WebSocketConnection,
        stream: trio.abc.HalfCloseableStream,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.connection = connection
        self.stream = stream
        self._timeout_s = timeout_s

    async def send(self, event: object) -> None:
        """Send a message: text or bytes as they are, anything else as JSON."""
        message = event if isinstance(event, str | bytes) else json.dumps(event)
        await self.connection.send_message(message)

    async def create(self, **changes: object) -> None:
        """Request a response."""
        await self.send({"type": "response.create", "model": "large", "input": "Hi"} | changes)

    async def receive(self) -> Object:
        """Return the next event, validated strictly against the SDK's types."""
        with trio.fail_after(self._timeout_s):
            message = await self.connection.get_message()
        assert isinstance(message, str)
        event: Object = json.loads(message)
        # An error before `response.failed` has the fields of the HTTP stream's event, too.
        flat = {"code", "message", "param"} if event["type"] == "error" else set[str]()
        strictly(ResponsesServerEvent, message, {*DOCUMENTED, *flat, "warnings"})
        return event

    async def receive_until(self, kind: str) -> Object:
        """Return the first event of this type and drop those before it."""
        while (event := await self.receive())["type"] != kind:
            pass
        return event

    async def receive_all(self, received: Sequence[Object] = ()) -> list[Object]:
        """Return all events of a response, with those `received` already, and check the grammar."""
        events = [*received] or [await self.receive()]
        while events[-1]["type"] not in LAST:
            events.append(await self.receive())
        check_grammar(events)
        return events

    async def respond(self, **changes: object) -> Object:
        """Create a response and return the object in its last event."""
        await self.create(**changes)
        response: Object = (await self.receive_all())[-1]["response"]
        return response

    async def receive_error(self) -> tuple[int, str | None, str | None]:
        """Return status, code and param of the next event, which must be an error."""
        event = await self.receive()
        assert event["type"] == "error", event
        error = event["error"]
        assert error["message"]
        assert error["type"] in ("invalid_request_error", "server_error", "upstream_error")
        return event["status"], error["code"], error["param"]

    async def create_error(self, **changes: object) -> tuple[int, str | None, str | None]:
        """Request a response and return the error that comes in its place."""
        await self.create(**changes)
        return await self.receive_error()

    async def close_code(self) -> int:
        """Return the close code, with which the server must close next."""
        with trio.fail_after(self._timeout_s), pytest.raises(ConnectionClosed) as caught:
            await self.connection.get_message()
        assert caught.value.reason is not None
        return caught.value.reason.code


class SocketServer:
    """A server for the harness's application, with connections in memory."""

    def __init__(self, server: HttpServer, nursery: trio.Nursery) -> None:
        self.http_server = server
        self._nursery = nursery
        self.finished: list[trio.Event] = []
        """One event per connection, set when the server has finished with it."""

    def connect(self, pair: Pair | None = None) -> trio.abc.HalfCloseableStream:
        """Open a connection and return the client's end."""
        theirs, ours = pair or memory_stream_pair()
        self.finished.append(trio.Event())
        self._nursery.start_soon(self._handle, ours, self.finished[-1])
        return theirs

    async def _handle(self, stream: trio.abc.HalfCloseableStream, finished: trio.Event) -> None:
        await self.http_server.handle(stream)
        finished.set()

    async def open(
        self, pair: Pair | None = None, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> ResponsesSocket:
        """Open a socket and complete its handshake."""
        stream = self.connect(pair)
        connection = await wrap_client_stream(
            self._nursery,
            stream,  # type: ignore[arg-type]  # any stream will do, its docs say
            "localhost",
            "/v1/responses",
            extra_headers=list(headers),
        )
        return ResponsesSocket(connection, stream)

    async def rejected_handshake(self, handshake: bytes = HANDSHAKE) -> httpx.Response:
        """Return the response to a handshake that the server rejects."""
        stream = self.connect()
        await stream.send_all(handshake)
        got = b""
        while data := await stream.receive_some():
            got += data
        head, _, body = got.partition(b"\r\n\r\n")
        status, *lines = head.split(b"\r\n")
        fields = [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]
        return httpx.Response(int(status.split()[1]), headers=fields, content=body)


@asynccontextmanager
async def serve_sockets(
    harness: EdgeHarness, settings: ServerSettings = SETTINGS
) -> AsyncIterator[SocketServer]:
    """Serve the application's WebSockets; cancel all connections at the end."""
    app = create_app(harness.service)
    async with trio.open_nursery() as nursery:
        yield SocketServer(HttpServer(cast("ASGIFramework", app), settings), nursery)
        nursery.cancel_scope.cancel()


async def use_socket(
    harness: EdgeHarness,
    converse: Callable[[ResponsesSocket], Awaitable[None]],
    settings: ServerSettings = SETTINGS,
) -> None:
    """Run `converse` with a socket and close the socket afterwards."""
    async with serve_sockets(harness, settings) as server:
        socket = await server.open()
        await converse(socket)
        await socket.connection.aclose()
        await server.finished[0].wait()
