"""Our changes to hypercorn's WebSocket stream: extensions, message sizes and fair scheduling."""

from collections.abc import Awaitable, Callable
from typing import cast

import pytest
import trio
import wsproto.connection
from hypercorn.protocol.events import Data, Event, Request, Response
from hypercorn.protocol.ws_stream import FrameTooLargeError
from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveEvent,
    ASGISendEvent,
    ConnectionState,
    TaskGroup,
)
from trio.testing import MockClock
from wsproto.events import BytesMessage, TextMessage

from tests.support.receive_budgets import wide_budget
from tests.web.server.test_connection import GET, SETTINGS, connected
from web.server.counters import Counters
from web.server.protocols.base import ProtocolContext
from web.server.protocols.websocket import TEXTS, MessageBuffer, WebsocketStream
from web.server.receive_budget import ReceiveBudget
from web.server.receive_queue import RECEIVE_QUEUE, ReceiveQueue
from web.server.settings import Context
from web.server.writer import ConnectionWriter

HEADERS = [
    (b"host", b"t"),
    (b"upgrade", b"websocket"),
    (b"connection", b"Upgrade"),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    (b"sec-websocket-extensions", b"permessage-deflate; client_max_window_bits"),
]
ACCEPT = cast("ASGISendEvent", {"type": "websocket.accept", "subprotocol": None, "headers": []})


class FakeConnection:
    """Tasks and wire of a connection, without a network and an app."""

    def __init__(self, takes: int = 1_000_000, budget: ReceiveBudget | None = None) -> None:
        self._budget = budget or wide_budget()
        self.scope: dict[str, object] = {}
        self.sent: list[Event] = []
        self.written: list[bytes] = []
        self.received: list[ASGIReceiveEvent] = []
        self._takes = takes

    def write_now(self, data: bytes) -> bytes:
        self.written.append(data[: self._takes])
        return data[self._takes :]

    async def write_rest(self, data: bytes) -> None:
        self.written.append(data)

    async def spawn_app(
        self, app: object, config: object, scope: dict[str, object], send: object
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        self.scope = scope
        extensions = cast("dict[str, object]", scope["extensions"])
        extensions[RECEIVE_QUEUE] = ReceiveQueue(self._budget)
        return self.put

    def spawn(self, func: object, *args: object) -> None:
        """Do nothing: there are no pings."""

    async def put(self, message: ASGIReceiveEvent) -> None:
        self.received.append(message)

    async def send(self, event: Event) -> None:
        self.sent.append(event)

    async def open(self) -> WebsocketStream:
        """Return a stream whose handshake is complete."""
        context = ProtocolContext(
            shared=Context(cast("ASGIFramework", None), SETTINGS),
            tasks=cast("TaskGroup", self),
            peers=(False, None, None),
            send=cast("Callable[[object], Awaitable[None]]", self.send),
            wire=cast("ConnectionWriter", self),
        )
        stream = WebsocketStream(context, self.send)
        await stream.handle(
            Request(
                stream_id=1,
                headers=HEADERS,
                http_version="1.1",
                method="GET",
                raw_path=b"/",
                state=ConnectionState({}),
            )
        )
        await stream.app_send(ACCEPT)
        return stream


async def test_no_extension_is_negotiated() -> None:
    connection = FakeConnection()
    await connection.open()
    (response,) = connection.sent
    assert isinstance(response, Response)
    assert response.status_code == 101
    assert not any(name == b"sec-websocket-extensions" for name, _ in response.headers)


@pytest.mark.parametrize("together", [True, False])
async def test_busy_sender_lets_other_tasks_run(together: bool) -> None:
    connection = FakeConnection()
    stream = await connection.open()
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    one = {"type": "websocket.send", "bytes": None, "text": "x"}
    message = many(b"x") if together else cast("ASGISendEvent", one)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        for _ in range(160):
            await stream.app_send(message)
        nursery.cancel_scope.cancel()
    written = connection.written if together else connection.sent[1:]
    assert len(written) == 160
    assert turns >= 9


def many(*texts: bytes) -> ASGISendEvent:
    return cast("ASGISendEvent", {"type": "websocket.send", TEXTS: list(texts)})


@pytest.mark.parametrize("takes", [0, 1, 200, 1_000_000])
async def test_batched_messages_are_written_at_once(takes: int) -> None:
    connection = FakeConnection(takes)
    stream = await connection.open()
    texts = [b"x" * size for size in (0, 1, 125, 126, 127, 65_535, 65_536)] + ["zażółć".encode()]
    await stream.app_send(many(*texts))
    assert len(connection.written) <= 2
    client = wsproto.connection.Connection(wsproto.ConnectionType.CLIENT)
    client.receive_data(b"".join(connection.written))
    received = list(client.events())
    assert [event.data for event in received if isinstance(event, TextMessage)] == [
        text.decode() for text in texts
    ]
    assert all(event.message_finished for event in received if isinstance(event, TextMessage))


async def test_nothing_is_sent_after_our_close() -> None:
    connection = FakeConnection()
    stream = await connection.open()
    close = {"type": "websocket.close", "code": 1000, "reason": None}
    await stream.app_send(cast("ASGISendEvent", close))
    await stream.app_send(many(b"late"))
    assert connection.written == []


async def test_nothing_is_sent_after_the_close_of_the_client() -> None:
    connection = FakeConnection()
    stream = await connection.open()
    await stream.handle(Data(stream_id=1, data=b"\x88\x80\x00\x00\x00\x00"))
    await stream.app_send(many(b"late"))
    assert connection.written == []


@pytest.mark.parametrize("text", ["x", "é", "€", "😀"])
def test_text_is_limited_by_its_bytes(text: str) -> None:
    buffer = MessageBuffer(100)
    parts = 100 // len(text.encode())
    for _ in range(parts):
        buffer.extend(TextMessage(data=text, message_finished=False))
    assert buffer.to_message()["text"] == text * parts
    with pytest.raises(FrameTooLargeError):
        buffer.extend(TextMessage(data=text * 5))


def test_bytes_are_limited() -> None:
    buffer = MessageBuffer(100)
    buffer.extend(BytesMessage(data=b"\xff" * 100))
    with pytest.raises(FrameTooLargeError):
        buffer.extend(BytesMessage(data=b"\xff"))


@pytest.mark.parametrize("together", [True, False])
async def test_rest_of_a_refused_message_is_dropped(together: bool) -> None:
    """The close frame may wait for earlier writes, and the client may keep sending meanwhile."""
    connection = FakeConnection(budget=ReceiveBudget(1000, lambda: 0.0, Counters()))
    stream = await connection.open()
    client = wsproto.connection.Connection(wsproto.ConnectionType.CLIENT)
    last = [False, False, True]
    frames = [client.send(TextMessage(data="x" * 900, message_finished=one)) for one in last]
    for data in [b"".join(frames)] if together else frames:
        await stream.handle(Data(stream_id=1, data=data))
    assert stream.buffer.length == 0
    assert [message["type"] for message in connection.received] == ["websocket.connect"]


@pytest.mark.parametrize("replaced", [True, False])
async def test_socket_is_closed_when_the_server_stops(
    autojump_clock: MockClock, replaced: bool
) -> None:
    async with connected() as peer:
        await peer.ask(
            GET.replace(b"\r\n\r\n", b"\r\n") % b"/until_the_server_leaves"
            + b"".join(b"%b: %b\r\n" % header for header in HEADERS[1:5])
            + b"\r\n"
        )
        await peer.read_until(b"\r\n\r\n")
        await trio.sleep(7)
        if replaced:
            peer.server.leave(1)
        else:
            peer.server.stop_accepting()
        assert (await peer.read_all()).endswith(b"\x88\x02\x03\xe8")
        assert trio.current_time() == pytest.approx(7, abs=0.1)
        await peer.ended.wait()
