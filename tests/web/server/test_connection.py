"""HTTP/1.1 connections: timeouts and ends, on memory streams and in virtual time."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import trio
from quart import Response, request, websocket
from structlog.testing import capture_logs
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair

from web.http.api_error import ApiError
from web.http.body import request_body
from web.http.quart_app import TrouperApp
from web.http.responses import error_response
from web.http.websocket import websocket_context_of
from web.server import HttpServer, ServerSettings
from web.server.connection import Connection

GET = b"GET %b HTTP/1.1\r\nHost: t\r\n\r\n"
SETTINGS = ServerSettings(keep_alive_s=50, header_s=10, write_stall_s=30, linger_s=2)
Pair = tuple[trio.abc.HalfCloseableStream, trio.abc.HalfCloseableStream]


class Boom(Exception):
    pass


async def _parts(count: int, pause: float, fail: bool) -> AsyncIterator[bytes]:
    for number in range(count):
        yield b"part %d;" % number
        await trio.sleep(pause)
    if fail:
        raise Boom


def make_app() -> TrouperApp:
    app = TrouperApp(__name__)

    @app.errorhandler(ApiError)
    async def on_api_error(error: ApiError) -> Response:
        return error_response(error.info)

    @app.route("/", methods=["GET", "HEAD"])
    async def index() -> str:
        return "whole"

    @app.get("/parts")
    async def parts() -> Response:
        count = request.args.get("n", 3, int)
        return Response(
            _parts(count, request.args.get("pause", 1.0, float), "fail" in request.args),
            status=request.args.get("status", 200, int),
            headers={"content-length": request.args["length"]} if "length" in request.args else {},
        )

    @app.post("/length")
    async def length() -> str:
        return str(len(await request_body()))

    @app.websocket("/crash")
    async def crash() -> None:
        await websocket.accept()
        raise Boom

    @app.websocket("/deaf")
    async def deaf() -> None:
        await websocket.accept()
        await trio.sleep_forever()

    @app.websocket("/two_goodbyes")
    async def two_goodbyes() -> None:
        await websocket.accept()
        await websocket.close(1001)
        await websocket.close(1008)

    @app.websocket("/until_the_server_leaves")
    async def until_the_server_leaves() -> None:
        await websocket.accept()
        await websocket_context_of(websocket).server_leaves.wait()

    return app


@dataclass
class Peer:
    stream: trio.abc.HalfCloseableStream
    server: HttpServer
    ended: trio.Event

    async def ask(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def read_until(self, mark: bytes) -> bytes:
        got = b""
        while mark not in got and (data := await self.stream.receive_some()):
            got += data
        return got

    async def read_all(self) -> bytes:
        got = b""
        while data := await self.stream.receive_some():
            got += data
        return got


@asynccontextmanager
async def connected(
    settings: ServerSettings = SETTINGS, pair: Pair | None = None
) -> AsyncIterator[Peer]:
    theirs, ours = pair or memory_stream_pair()
    server = HttpServer(make_app(), settings)
    ended = trio.Event()

    async def handle() -> None:
        await server.handle(ours)
        ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(handle)
        yield Peer(theirs, server, ended)
        nursery.cancel_scope.cancel()


async def test_idle_connection_closes_after_keep_alive(autojump_clock: MockClock) -> None:
    async with connected() as peer:
        await peer.ended.wait()
    assert trio.current_time() == pytest.approx(50)


async def test_each_response_restarts_the_keep_alive_timeout(autojump_clock: MockClock) -> None:
    async with connected() as peer:
        for _ in range(3):
            await trio.sleep(49)
            await peer.ask(GET % b"/")
            await peer.read_until(b"whole")
        await peer.ended.wait()
    assert trio.current_time() == pytest.approx(3 * 49 + 50)


async def test_keep_alive_timeout_is_suspended_during_a_request(autojump_clock: MockClock) -> None:
    async with connected() as peer:
        await peer.ask(GET % b"/parts?n=5&pause=100")
        assert b"part 4;" in await peer.read_until(b"0\r\n\r\n")
        await peer.ended.wait()
    assert trio.current_time() == pytest.approx(550)


async def test_dripping_head_is_408(autojump_clock: MockClock) -> None:
    async with connected() as peer:
        await trio.sleep(20)
        for byte in b"GET / H"[:5]:
            await peer.ask(bytes([byte]))
            await trio.sleep(1.9)
        answer = await peer.read_all()
        assert peer.server.counters.slow_heads == 1
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert trio.current_time() == pytest.approx(30)


async def test_too_much_pipelined_data_is_not_a_slow_head(autojump_clock: MockClock) -> None:
    """The response may end in any scheduler pass, even between the overflow and the close."""
    overflows = 0
    for attempt in range(30):  # trio shuffles the tasks of a pass
        async with connected(ServerSettings(pipelined_bytes=1000)) as peer:
            await peer.ask(GET % b"/" + b"GET / HTTP/1.1\r\nA: ")
            for _ in range(attempt % 3):
                await trio.lowlevel.checkpoint()
            await peer.ask(b"x" * 3000)
            timed_out = b" 408 " in await peer.read_all()
            overflows += peer.server.counters.pipelining_overflows
            assert timed_out != peer.server.counters.pipelining_overflows
    assert overflows > 10


async def test_oversized_head_is_431(autojump_clock: MockClock) -> None:
    async with connected() as peer:
        await peer.ask(b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000)
        assert b" 431 " in await peer.read_until(b"\r\n")


async def test_connection_lingers_after_the_last_response(autojump_clock: MockClock) -> None:
    async with connected() as peer:
        await peer.ask(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        assert (await peer.read_all()).endswith(b"whole")
        answered_at = trio.current_time()
        await peer.ended.wait()
    assert trio.current_time() - answered_at == pytest.approx(2)


async def test_stalled_write_ends_the_connection(autojump_clock: MockClock) -> None:
    async with connected(pair=lockstep_stream_pair()) as peer:
        await peer.ask(GET % b"/parts?n=1000&pause=0")
        await peer.ended.wait()
        assert peer.server.counters.write_stalls == 1
    assert trio.current_time() == pytest.approx(30)


async def test_slow_reader_is_not_a_stalled_write(autojump_clock: MockClock) -> None:
    async with connected(pair=lockstep_stream_pair()) as peer:
        await peer.ask(GET % b"/parts?n=5&pause=0")
        got = b""
        while b"0\r\n\r\n" not in got:
            await trio.sleep(29)
            got += await peer.stream.receive_some()
        assert peer.server.counters.write_stalls == 0


async def test_disconnect_ends_a_stalled_write(autojump_clock: MockClock) -> None:
    async with connected(pair=lockstep_stream_pair()) as peer:
        await peer.ask(GET % b"/parts?n=1000&pause=0")
        await trio.sleep(3)
        await peer.stream.aclose()
        await peer.ended.wait()
        assert peer.server.counters.write_stalls == 0
    assert trio.current_time() == pytest.approx(3)


FAILING = {
    "chunked": b"GET /parts?fail=1 HTTP/1.1\r\nHost: t\r\n\r\n",
    "length": b"GET /parts?fail=1&length=100 HTTP/1.1\r\nHost: t\r\n\r\n",
    "http10": b"GET /parts?fail=1 HTTP/1.0\r\n\r\n",
}


@pytest.mark.parametrize("framing", FAILING)
async def test_error_in_the_body_aborts_the_response(
    autojump_clock: MockClock, framing: str
) -> None:
    with capture_logs() as logs:
        async with connected() as peer:
            await peer.ask(FAILING[framing])
            got = await peer.read_all()
            assert peer.server.counters.requests_crashed == 1
    assert b"part 2;" in got
    assert b"0\r\n\r\n" not in got
    assert [entry["event"] for entry in logs] == ["request ended", "request failed"]


async def _answer(raw: bytes) -> bytes:
    async with connected() as peer:
        await peer.ask(raw.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        return await peer.read_all()


async def test_chunks_are_framed_as_h11_frames_them(autojump_clock: MockClock) -> None:
    got = await _answer(GET % b"/parts")
    assert b"transfer-encoding: chunked" in got.lower()
    assert got.endswith(b"\r\n\r\n7\r\npart 0;\r\n7\r\npart 1;\r\n7\r\npart 2;\r\n0\r\n\r\n")


async def test_known_length_is_not_chunked(autojump_clock: MockClock) -> None:
    got = await _answer(GET % b"/parts?length=21")
    assert b"chunked" not in got.lower()
    assert got.endswith(b"\r\n\r\npart 0;part 1;part 2;")


async def test_http10_is_not_chunked(autojump_clock: MockClock) -> None:
    async with connected() as peer:
        await peer.ask(b"GET /parts HTTP/1.0\r\n\r\n")
        got = await peer.read_all()
    assert b"chunked" not in got.lower()
    assert got.endswith(b"\r\n\r\npart 0;part 1;part 2;")


@pytest.mark.parametrize("status", [204, 304])
async def test_statuses_without_body_send_none(autojump_clock: MockClock, status: int) -> None:
    async with connected() as peer:
        await peer.ask(GET % b"/parts?status=%d" % status + GET % b"/")
        got = await peer.read_until(b"whole")
    assert b"part" not in got
    assert b"chunked" not in got.lower()


@pytest.mark.parametrize("path", [b"/", b"/parts"])
async def test_head_sends_no_body(autojump_clock: MockClock, path: bytes) -> None:
    async with connected() as peer:
        await peer.ask(b"HEAD %b HTTP/1.1\r\nHost: t\r\n\r\n" % path + GET % b"/?second")
        got = await peer.read_until(b"whole")
    assert b"part" not in got
    assert got.count(b"whole") == 1
    assert got.count(b"HTTP/1.1 200") == 2


async def test_drain_lets_the_current_response_finish(
    autojump_clock: MockClock,
) -> None:
    async with connected() as peer:
        await peer.ask(GET % b"/parts")
        await peer.read_until(b"part 0;")
        await peer.ask(GET % b"/")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.server.drain, 10)
            got = await peer.read_all()
        assert got.endswith(b"part 2;\r\n0\r\n\r\n"), "the pipelined request must not be answered"
        await peer.ended.wait()
    assert trio.current_time() == pytest.approx(5)


async def test_response_while_draining_says_close(autojump_clock: MockClock) -> None:
    async with connected() as peer:
        await peer.ask(b"GET / HTT")
        await trio.testing.wait_all_tasks_blocked()
        peer.server.stop_accepting()
        await peer.ask(b"P/1.1\r\nHost: t\r\n\r\n")
        assert b"connection: close" in (await peer.read_all()).lower()


async def test_connection_over_the_limit_gets_503(autojump_clock: MockClock) -> None:
    async with connected(ServerSettings(max_connections=0)) as peer:
        await peer.ask(GET % b"/")
        got = await peer.read_all()
    head, _, body = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"content-length: %d" % len(body) in head


WEBSOCKET = (
    b"GET %b HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def _close_code(path: bytes, then: bytes) -> int:
    async with connected() as peer:
        await peer.ask(WEBSOCKET % path)
        got = await peer.read_until(b"\r\n\r\n")
        await peer.ask(then)
        got += await peer.read_until(b"\x88\x02")
        await peer.ended.wait()
    frame = got[got.rindex(b"\x88\x02") :]
    return int.from_bytes(frame[2:4], "big")


async def test_crash_closes_a_websocket_with_1011(autojump_clock: MockClock) -> None:
    close = b"\x88\x82\x00\x00\x00\x00\x03\xe8"
    assert await _close_code(b"/crash", close) == 1011


async def test_second_close_is_not_sent(autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        assert await _close_code(b"/two_goodbyes", b"") == 1001
    assert not [line for line in logs if line["log_level"] == "error"]


async def test_full_receive_queue_closes_a_websocket_with_1008(autojump_clock: MockClock) -> None:
    message = b"\x81\x81\x00\x00\x00\x00x"
    assert await _close_code(b"/deaf", message * 100) == 1008


async def test_closed_connection_is_freed_without_garbage_collection(
    autojump_clock: MockClock,
) -> None:
    """A connection in a reference cycle would keep its last response alive."""
    gc.collect()
    gc.disable()
    try:
        before = sum(isinstance(found, Connection) for found in gc.get_objects())
        async with connected() as peer:
            await peer.ask(GET % b"/parts?n=1000&pause=1")
            await peer.read_until(b"part 2;")
            await peer.stream.aclose()
            await peer.ended.wait()
        assert sum(isinstance(found, Connection) for found in gc.get_objects()) == before
    finally:
        gc.enable()
