"""hypercorn's side of a WebSocket as we have it: extensions, sizes, and the others' turn."""

from collections.abc import Awaitable, Callable
from typing import cast

import pytest
import trio
from hypercorn.protocol.events import Data, Event, Request, Response
from hypercorn.protocol.ws_stream import FrameTooLargeError
from hypercorn.typing import AppWrapper, ASGIReceiveEvent, ASGISendEvent, ConnectionState, TaskGroup
from trio.testing import MockClock
from wsproto.events import BytesMessage, TextMessage

from tests.web.server.test_connection import GET, SETTINGS, connected
from web.server.setup import Context, ProtocolConfig
from web.server.websocket import ByteBuffer, WebsocketStream
from web.server.wire import Surroundings, Wire

HEADERS = [
    (b"host", b"t"),
    (b"upgrade", b"websocket"),
    (b"connection", b"Upgrade"),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    (b"sec-websocket-extensions", b"permessage-deflate; client_max_window_bits"),
]
ACCEPT = cast("ASGISendEvent", {"type": "websocket.accept", "subprotocol": None, "headers": []})


class Stage:
    """The tasks of a connection without a connection: an app that is never run."""

    def __init__(self) -> None:
        self.scope: dict[str, object] = {}
        self.sent: list[Event] = []

    async def spawn_app(
        self, app: object, config: object, scope: dict[str, object], send: object
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        self.scope = scope
        return self.put

    def spawn(self, func: object, *args: object) -> None:
        """No pings."""

    async def put(self, message: ASGIReceiveEvent) -> None:
        """Nobody reads."""

    async def send(self, event: Event) -> None:
        self.sent.append(event)

    async def open(self) -> WebsocketStream:
        """A stream that has shaken hands."""
        surroundings = Surroundings(
            app=cast("AppWrapper", None),
            config=ProtocolConfig(SETTINGS),
            context=Context(),
            tasks=cast("TaskGroup", self),
            ssl=False,
            client=None,
            server=None,
            send=cast("Callable[[object], Awaitable[None]]", self.send),
            wire=cast("Wire", None),
            write_stall_s=30,
        )
        stream = WebsocketStream(surroundings, self.send)
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


async def test_no_extension_is_agreed_on() -> None:
    stage = Stage()
    await stage.open()
    (response,) = stage.sent
    assert isinstance(response, Response)
    assert response.status_code == 101
    assert not any(name == b"sec-websocket-extensions" for name, _ in response.headers)


async def test_who_always_has_more_to_say_lets_others_have_their_turn() -> None:
    stage = Stage()
    stream = await stage.open()
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    message = {"type": "websocket.send", "bytes": None, "text": "x"}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        for _ in range(160):
            await stream.app_send(cast("ASGISendEvent", message))
        nursery.cancel_scope.cancel()
    assert sum(isinstance(event, Data) for event in stage.sent) == 160
    assert turns >= 9


@pytest.mark.parametrize("text", ["x", "é", "€", "😀"])
def test_the_bytes_of_a_text_count(text: str) -> None:
    buffer = ByteBuffer(100)
    parts = 100 // len(text.encode())
    for _ in range(parts):
        buffer.extend(TextMessage(data=text, message_finished=False))
    assert buffer.to_message()["text"] == text * parts
    with pytest.raises(FrameTooLargeError):
        buffer.extend(TextMessage(data=text * 5))


def test_bytes_count_as_they_are() -> None:
    buffer = ByteBuffer(100)
    buffer.extend(BytesMessage(data=b"\xff" * 100))
    with pytest.raises(FrameTooLargeError):
        buffer.extend(BytesMessage(data=b"\xff"))


@pytest.mark.parametrize("replaced", [True, False])
async def test_a_socket_hears_that_the_server_leaves(
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
