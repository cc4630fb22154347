"""Clients that send much, slowly or nothing useful, on memory streams and in virtual time."""

import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import h2.connection
import h2.events
import pytest
import trio
from h2.errors import ErrorCodes
from trio.testing import MockClock, memory_stream_pair
from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection as Frames
from wsproto.events import CloseConnection, Event, Message, Ping, Pong, Request, TextMessage

from tests.web.server.test_connection import GET, make_app
from web.server import HttpServer, ServerSettings

KB, MB = 1024, 1024 * 1024
SETTINGS = ServerSettings(
    http2=True, keep_alive_s=50, linger_s=2, body_s=30, websocket_ping_s=20, receive_bytes=4 * MB
)
Stream = trio.abc.HalfCloseableStream
Connect = Callable[[], Stream]


@asynccontextmanager
async def served(settings: ServerSettings = SETTINGS) -> AsyncIterator[tuple[HttpServer, Connect]]:
    """Run a server; the function opens a connection to it."""
    server = HttpServer(make_app(), settings)
    async with trio.open_nursery() as nursery:

        def connect() -> Stream:
            theirs, ours = memory_stream_pair()
            nursery.start_soon(server.handle, ours)
            return theirs

        yield server, connect
        nursery.cancel_scope.cancel()


async def read_all(stream: Stream) -> bytes:
    got = b""
    while data := await stream.receive_some():
        got += data
    return got


async def read_until(stream: Stream, mark: bytes) -> bytes:
    got = b""
    while mark not in got and (data := await stream.receive_some()):
        got += data
    return got


async def upload(stream: Stream, size: int, declared: int = MB) -> None:
    head = b"POST /length HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n" % declared
    await stream.send_all(head + bytes(size))


async def test_slowest_body_gets_503_when_all_together_are_too_large(
    autojump_clock: MockClock,
) -> None:
    async with served() as (server, connect):
        stalled = [connect() for _ in range(3)]
        for stream in stalled:
            await upload(stream, 900 * KB)
            await trio.sleep(1)
        fast = connect()
        await upload(fast, MB)
        assert (await read_until(fast, b"1048576")).startswith(b"HTTP/1.1 200")
        refused = await read_all(stalled[0])
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"\r\nretry-after: 5\r\n" in refused.lower()
        assert b"receive_limit" in refused
        for stream in stalled[1:]:
            await stream.send_all(bytes(124 * KB))
            assert (await read_until(stream, b"1048576")).startswith(b"HTTP/1.1 200")
        await trio.sleep(1)
        assert server.counters.receptions_refused == 1
        assert server._context.receive_budget.used == 0


async def test_decompressed_body_counts_too(autojump_clock: MockClock) -> None:
    async with served() as (server, connect):
        for size, answer in ((MB, b"1048576"), (2 * MB, b"receive_limit"), (MB, b"1048576")):
            body = gzip.compress(bytes(size))
            head = b"POST /length HTTP/1.1\r\nHost: t\r\nContent-Encoding: gzip\r\n"
            stream = connect()
            await stream.send_all(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            assert answer in await read_until(stream, answer)
            await stream.aclose()
            await trio.sleep(1)
        assert server.counters.receptions_refused == 1
        assert server._context.receive_budget.used == 0


async def test_refused_client_may_keep_sending_without_being_paused(
    autojump_clock: MockClock,
) -> None:
    async with served() as (server, connect):
        stream = connect()
        await upload(stream, 3 * MB, declared=16 * MB)
        await stream.send_all(bytes(8 * MB))
        assert (await read_until(stream, b"}")).startswith(b"HTTP/1.1 503")
        await stream.send_all(bytes(5 * MB))
        assert await read_all(stream) == b""
        assert server._context.receive_budget.used == 0


async def test_small_requests_pass_while_large_bodies_fill_their_share(
    autojump_clock: MockClock,
) -> None:
    async with served() as (server, connect):
        for _ in range(6):
            await upload(connect(), 900 * KB)
        for _ in range(20):
            small = connect()
            await upload(small, 100 * KB, declared=100 * KB)
            assert (await read_until(small, b"102400")).startswith(b"HTTP/1.1 200")
        assert server._context.receive_budget.used <= 4 * MB


@pytest.mark.parametrize("missing", [0, 1])
async def test_unread_body_is_not_held_during_the_response(
    autojump_clock: MockClock, missing: int
) -> None:
    async with served() as (server, connect):
        client = connect()
        head = b"GET /parts?n=60 HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n" % (MB + missing)
        await client.send_all(head + bytes(MB))
        await read_until(client, b"part 50")
        assert server._context.receive_budget.used == 0
        if missing:
            await client.send_all(b"x")
        assert (await read_until(client, b"part 59")).endswith(b"part 59;\r\n")


async def test_bytes_of_a_body_buy_limited_time(autojump_clock: MockClock) -> None:
    async with served() as (_, connect):
        stream = connect()
        await upload(stream, 2 * MB, declared=3 * MB)
        assert (await read_all(stream)).startswith(b"HTTP/1.1 408")
    assert trio.current_time() == pytest.approx(4 * 30)


async def test_pipelined_bytes_are_counted_and_released(autojump_clock: MockClock) -> None:
    async with served() as (server, connect):
        stream = connect()
        await stream.send_all(GET % b"/parts?n=3&pause=10" + GET % b"/")
        await trio.sleep(5)
        await stream.send_all(bytes(50_000))
        await trio.sleep(5)
        assert server._context.receive_budget.used >= 50_000
        await stream.aclose()
        await trio.sleep(5)
        assert server._context.receive_budget.used == 0


class Http2Client:
    """An HTTP/2 client on a stream."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.connection = h2.connection.H2Connection()
        self.connection.initiate_connection()

    async def flush(self) -> None:
        await self.stream.send_all(self.connection.data_to_send())

    def request(self, path: str, *, end: bool = True) -> int:
        id = self.connection.get_next_available_stream_id()
        pseudo = {":method": "GET", ":scheme": "http", ":authority": "t", ":path": path}
        self.connection.send_headers(id, list(pseudo.items()), end_stream=end)
        return id

    async def goaway(self) -> ErrorCodes | int | None:
        """Read to the end and return the code of the GOAWAY."""
        code: ErrorCodes | int | None = None
        while data := await self.stream.receive_some():
            for event in self.connection.receive_data(data):
                if isinstance(event, h2.events.ConnectionTerminated):
                    code = event.error_code
        return code


@pytest.mark.parametrize("cancelled_request", [False, True])
async def test_pings_do_not_keep_an_http2_connection_open(
    cancelled_request: bool, autojump_clock: MockClock
) -> None:
    async with served() as (_, connect):
        client = Http2Client(connect())

        async def ping() -> None:
            while True:
                client.connection.ping(b"12345678")
                await client.flush()
                await trio.sleep(10)

        if cancelled_request:
            client.connection.reset_stream(client.request("/parts?n=1000"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ping)
            assert await client.goaway() == ErrorCodes.NO_ERROR
            nursery.cancel_scope.cancel()
    assert trio.current_time() == pytest.approx(52, abs=3)


async def test_oversized_frame_closes_the_connection_at_its_header(
    autojump_clock: MockClock,
) -> None:
    async with served() as (server, connect):
        client = Http2Client(connect())
        await client.flush()
        await client.stream.send_all(b"\xff\xff\xff\x00\x00\x00\x00\x00\x01")
        assert await client.goaway() == ErrorCodes.FRAME_SIZE_ERROR
        assert server.counters.frame_limits_exceeded == 1


async def test_unfinished_frames_are_counted(autojump_clock: MockClock) -> None:
    async with served() as (server, connect):
        client = Http2Client(connect())
        await client.flush()
        await client.stream.send_all(b"\x00\x40\x00\x00\x00\x00\x00\x00\x01" + bytes(10_000))
        await trio.sleep(1)
        assert server._context.receive_budget.used == 10_009
        await client.stream.aclose()
        await trio.sleep(1)
        assert server._context.receive_budget.used == 0


FLOODS = {
    "settings": b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "ping": b"\x00\x00\x08\x06\x00\x00\x00\x00\x00" + bytes(8),
    "empty_data": b"\x00\x00\x00\x00\x00\x00\x00\x00\x01",
}


async def passes_until(stop: trio.Event) -> int:
    """Return the number of scheduler passes until `stop`."""
    passes = 0
    while not stop.is_set():
        passes += 1
        await trio.lowlevel.checkpoint()
    return passes


@pytest.mark.parametrize("name", FLOODS)
async def test_other_tasks_run_during_a_flood_of_frames(
    name: str, autojump_clock: MockClock
) -> None:
    async with served() as (server, connect):
        client = Http2Client(connect())
        client.request("/parts?n=1000", end=False)
        await client.flush()
        await trio.sleep(0.1)
        ended = trio.Event()

        async def attack() -> None:
            await client.stream.send_all(FLOODS[name] * 3000)
            assert await client.goaway() == ErrorCodes.ENHANCE_YOUR_CALM
            ended.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(attack)
            assert await passes_until(ended) >= 1000 // 16
        assert server.counters.frame_limits_exceeded == 1


class SocketClient:
    """A WebSocket client that answers pings only if asked to."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._frames = Frames(ConnectionType.CLIENT)

    async def open(self, path: str) -> None:
        handshake = WSConnection(ConnectionType.CLIENT)
        await self.stream.send_all(handshake.send(Request(host="t", target=path)))
        await read_until(self.stream, b"\r\n\r\n")

    async def send(self, *events: Event) -> None:
        await self.stream.send_all(b"".join(map(self._frames.send, events)))

    async def close_code(self, *, pongs: bool) -> int:
        """Read until the server closes, and return its code."""
        while data := await self.stream.receive_some():
            self._frames.receive_data(bytes(data))
            for event in self._frames.events():
                if isinstance(event, Ping) and pongs:
                    await self.send(Pong(event.payload))
                if isinstance(event, CloseConnection):
                    return event.code
        raise AssertionError("closed without a code")


def part(text: str = "") -> Message[str]:
    return TextMessage(data=text, message_finished=False)


async def test_silent_websocket_stays_open_while_it_answers_pings(
    autojump_clock: MockClock,
) -> None:
    async with served() as (_, connect):
        client = SocketClient(connect())
        await client.open("/deaf")
        with trio.move_on_after(3000) as reading:
            await client.close_code(pongs=True)
        assert reading.cancelled_caught


async def test_websocket_without_pongs_is_closed(autojump_clock: MockClock) -> None:
    async with served() as (_, connect):
        client = SocketClient(connect())
        await client.open("/deaf")
        assert await client.close_code(pongs=False) == 1011
    assert trio.current_time() == pytest.approx(40)


async def test_unfinished_websocket_message_has_a_deadline(autojump_clock: MockClock) -> None:
    async with served() as (server, connect):
        client = SocketClient(connect())
        await client.open("/deaf")
        await client.send(part("x" * 1000))
        await trio.sleep(1)
        assert server._context.receive_budget.used == 1000
        assert await client.close_code(pongs=True) == 1008
        await client.stream.aclose()
        await trio.sleep(5)
        assert server._context.receive_budget.used == 0
    assert trio.current_time() == pytest.approx(30 + 5, abs=0.5)


async def test_slowest_unfinished_message_is_refused(autojump_clock: MockClock) -> None:
    async with served() as (server, connect):
        clients = [SocketClient(connect()) for _ in range(4)]
        for client in clients:
            await client.open("/deaf")
            await client.send(part("x" * 900 * KB))
            await trio.sleep(1)
        assert await clients[0].close_code(pongs=True) == 1013
        assert server._context.receive_budget.used == 3 * 900 * KB


async def test_message_without_room_in_memory_is_refused(autojump_clock: MockClock) -> None:
    async with served() as (_, connect):
        client = SocketClient(connect())
        await client.open("/deaf")
        # A wide character makes Python use four bytes for each.
        await client.send(TextMessage(data="x" * 900 * KB + "😀"))
        assert await client.close_code(pongs=True) == 1013


@pytest.mark.parametrize("flood", [part(), Ping(), Pong()], ids=lambda event: type(event).__name__)
async def test_websocket_flood_is_closed_while_other_tasks_run(
    flood: Event, autojump_clock: MockClock
) -> None:
    async with served() as (server, connect):
        client = SocketClient(connect())
        await client.open("/deaf")
        ended = trio.Event()

        async def attack() -> None:
            await client.send(*[flood] * 3000)
            assert await client.close_code(pongs=False) == 1008
            ended.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(attack)
            assert await passes_until(ended) >= 1000 // 16
        assert server.counters.frame_limits_exceeded == 1
