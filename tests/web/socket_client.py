"""A Responses WebSocket over memory: our server whole, and trio-websocket as the client."""

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

from tests.web.dialects.responses_stream import DOCUMENTED, LAST, check_grammar
from tests.web.dialects.strict import strictly
from tests.web.house import House
from web.app import create_app
from web.server import HttpServer, ServerSettings

Object = dict[str, Any]
Pair = tuple[trio.abc.HalfCloseableStream, trio.abc.HalfCloseableStream]

HANDSHAKE = (
    b"GET /v1/responses HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
PATIENCE_S = 200_000
"""Virtual seconds; many, for they pass while a thread works."""
SETTINGS = ServerSettings(write_stall_s=30, linger_s=2, websocket_ping_s=1000)


def masked(text: str) -> bytes:
    """A short text as a client frames it."""
    data = text.encode()
    assert len(data) < 126
    return b"\x81" + bytes([0x80 | len(data)]) + b"\x00\x00\x00\x00" + data


class Socket:
    """A client's side of a socket: what it says, and what it hears, every event checked."""

    def __init__(
        self,
        connection: WebSocketConnection,
        stream: trio.abc.HalfCloseableStream,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.connection = connection
        self.stream = stream
        self._patience_s = patience_s

    async def say(self, event: object) -> None:
        """Send a message: text or bytes as they are, anything else as JSON."""
        message = event if isinstance(event, str | bytes) else json.dumps(event)
        await self.connection.send_message(message)

    async def create(self, **changes: object) -> None:
        """Ask for a response."""
        await self.say({"type": "response.create", "model": "large", "input": "Hi"} | changes)

    async def hear(self) -> Object:
        """The next event, as the SDK's type, strictly."""
        with trio.fail_after(self._patience_s):
            message = await self.connection.get_message()
        assert isinstance(message, str)
        strictly(ResponsesServerEvent, message, DOCUMENTED)
        event: Object = json.loads(message)
        return event

    async def hear_until(self, kind: str) -> Object:
        """The first event of this type; what comes before it is dropped."""
        while (event := await self.hear())["type"] != kind:
            pass
        return event

    async def hear_all(self, begun: Sequence[Object] = ()) -> list[Object]:
        """All events of a response, those heard already too, held to the grammar."""
        heard = [*begun] or [await self.hear()]
        while heard[-1]["type"] not in LAST:
            heard.append(await self.hear())
        check_grammar(heard)
        return heard

    async def respond(self, **changes: object) -> Object:
        """Ask for a response; the object in its last event."""
        await self.create(**changes)
        response: Object = (await self.hear_all())[-1]["response"]
        return response

    async def error(self) -> tuple[int, str | None, str | None]:
        """Status, code and param of the next event, which is an error."""
        event = await self.hear()
        assert event["type"] == "error", event
        error = event["error"]
        assert error["message"]
        assert error["type"] in ("invalid_request_error", "server_error", "upstream_error")
        return event["status"], error["code"], error["param"]

    async def refused(self, **changes: object) -> tuple[int, str | None, str | None]:
        """Ask for a response; the error that comes in its place."""
        await self.create(**changes)
        return await self.error()

    async def closed(self) -> int:
        """The code with which the server closes next."""
        with trio.fail_after(self._patience_s), pytest.raises(ConnectionClosed) as closed:
            await self.connection.get_message()
        assert closed.value.reason is not None
        return closed.value.reason.code


class Door:
    """A server on a house, and its clients."""

    def __init__(self, server: HttpServer, nursery: trio.Nursery) -> None:
        self.server = server
        self._nursery = nursery
        self.over: list[trio.Event] = []
        """For each connection, that it is over on the server's side."""

    def connect(self, pair: Pair | None = None) -> trio.abc.HalfCloseableStream:
        """The client's end of a connection."""
        theirs, ours = pair or memory_stream_pair()
        self.over.append(trio.Event())
        self._nursery.start_soon(self._handle, ours, self.over[-1])
        return theirs

    async def _handle(self, stream: trio.abc.HalfCloseableStream, over: trio.Event) -> None:
        await self.server.handle(stream)
        over.set()

    async def open(
        self, pair: Pair | None = None, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> Socket:
        """A client that has shaken hands."""
        stream = self.connect(pair)
        connection = await wrap_client_stream(
            self._nursery,
            stream,  # type: ignore[arg-type]  # any stream will do, its docs say
            "test",
            "/v1/responses",
            extra_headers=list(headers),
        )
        return Socket(connection, stream)

    async def rejected(self, handshake: bytes = HANDSHAKE) -> httpx.Response:
        """The response to a handshake that is not accepted."""
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
async def door_of(house: House, settings: ServerSettings = SETTINGS) -> AsyncIterator[Door]:
    """A door; at the end everything behind it is gone."""
    app = create_app(house.service)
    async with trio.open_nursery() as nursery:
        yield Door(HttpServer(cast("ASGIFramework", app), settings), nursery)
        nursery.cancel_scope.cancel()


async def conversing(
    house: House, converse: Callable[[Socket], Awaitable[None]], settings: ServerSettings = SETTINGS
) -> None:
    """Have `converse` use a socket, which is closed afterwards."""
    async with door_of(house, settings) as door:
        socket = await door.open()
        await converse(socket)
        await socket.connection.aclose()
        await door.over[0].wait()
