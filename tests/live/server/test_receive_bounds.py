"""Clients that send much or in a hostile way: the server's memory, and the delay of a neighbour."""

import gzip
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.support.live import harness
from tests.support.live.harness import Process, Server
from tests.support.live.http_client import QUESTION, calling, metrics, open_chat
from tests.support.live.measurements import percentile, resident_bytes
from tests.support.sizes import FULL

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MB = 1024 * 1024
BUDGET = (256 if FULL else 64) * MB
BODIES = 40 if FULL else 12
LARGE_MB = 19 if FULL else 8
MORE_S = 0.1
"""Longest time that a neighbour may wait more than without the attack."""
PAUSE_S = 0.005
PEAK = 8
"""Maximum growth of memory while one large body is handled, as a multiple of its size."""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
GET_AND_RESET = (
    b"\x00\x00\x0e\x01\x05%b\x82\x86\x84\x01\x09localhost"
    + b"\x00\x00\x04\x03\x00%b\x00\x00\x00\x08"
)
OPEN_POST = b"\x00\x00\x0e\x01\x04\x00\x00\x00\x01\x83\x86\x84\x01\x09localhost"
WEBSOCKET = (
    b"GET /v1/responses HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def serving(directory: Path, upstream: Process) -> AbstractContextManager[Server]:
    settings = f"http2 = true\n[limits]\nreceive_bytes = {BUDGET}\n"
    return harness.serving(directory, harness.write_config(directory, upstream.port, settings))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, upstream: Process) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("bounds"), upstream) as running:
        yield running


@pytest.fixture
def new_server(tmp_path: Path, upstream: Process) -> Iterator[Server]:
    """Run a server for one test, whose memory holds nothing of the tests before."""
    with serving(tmp_path, upstream) as running:
        yield running


@pytest.fixture(scope="module")
def memory(server: Server) -> int:
    """Return the resident memory before all attacks, so that no test starts from another's peak."""
    return resident_bytes(server)


class Neighbour:
    """A healthy client that makes short requests, one after the other, and measures them."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.took_s: list[float] = []

    async def run(self) -> None:
        async with calling(self._server.port) as call:
            while True:
                began = time.monotonic()
                await call.request("GET", "/v1/models")
                assert await call.head() == 200
                await call.read_all()
                call.reuse()
                self.took_s.append(time.monotonic() - began)
                await trio.sleep(PAUSE_S)


async def longest_delay_s(server: Server, attack: Callable[[], Awaitable[None]]) -> float:
    """Return the longest time that a neighbour waits during the attack, less its median before."""
    neighbour = Neighbour(server)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(neighbour.run)
        await trio.sleep(0.5)
        usual, neighbour.took_s = percentile(0.5, neighbour.took_s), []
        await attack()
        await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
    return max(neighbour.took_s) - usual


@asynccontextmanager
async def raw(server: Server, data: bytes) -> AsyncIterator[trio.SocketStream]:
    """Open a connection and send bytes; the server may close it meanwhile."""
    async with await trio.open_tcp_stream(server.host, server.port) as stream:
        await send(stream, data)
        yield stream


async def send(stream: trio.SocketStream, data: bytes) -> None:
    try:
        await stream.send_all(data)
    except trio.BrokenResourceError:
        return


async def read_to_end(stream: trio.SocketStream) -> None:
    try:
        while await stream.receive_some():
            pass
    except trio.BrokenResourceError:
        return


def unfinished_body() -> bytes:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    return head % (20 * MB) + bytes(19 * MB)


def unfinished_message() -> bytes:
    return b"\x01\xff" + (20 * MB).to_bytes(8, "big") + bytes(4) + b"x" * (15 * MB)


REFUSALS = ("trouper_frame_limits_exceeded_total", "trouper_receptions_refused_total")


@pytest.mark.alone
@pytest.mark.parametrize("kind", ["body", "message", "frame"])
async def test_memory_of_unfinished_data_stays_within_the_budget(
    kind: str, server: Server, memory: int
) -> None:
    before = await metrics(server)
    async with AsyncExitStack() as stack:
        for _ in range(BODIES):
            if kind == "frame":
                data = PREFACE + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + bytes(16 * MB)
                await stack.enter_async_context(raw(server, data))
            elif kind == "body":
                await stack.enter_async_context(raw(server, unfinished_body()))
            else:
                socket = await stack.enter_async_context(raw(server, WEBSOCKET))
                await socket.receive_some()
                await send(socket, unfinished_message())
            grown = resident_bytes(server) - memory
            assert grown < BUDGET * 1.2 + 30 * MB, f"{grown / MB:.0f} MB"
        async with open_chat(server, "up/v:tokens=3", stream=False) as call:
            assert await call.head() == 200
        after = await metrics(server)
    refused = {name: after[name] - before[name] for name in REFUSALS}
    if kind == "frame":
        assert refused["trouper_frame_limits_exceeded_total"] == BODIES
    else:
        assert refused["trouper_receptions_refused_total"] >= 5


def large_body(kind: str) -> bytes:
    """Return a body of about `LARGE_MB`."""
    size = LARGE_MB * MB
    body: dict[str, object] = {"model": "up/v:tokens=3", "messages": QUESTION}
    if kind == "one_text":
        body["messages"] = [{"role": "user", "content": "word " * (size // 5)}]
    elif kind == "many_messages":
        body["messages"] = [{"role": "user", "content": "word " * (size // 35_000)}] * 7000
    elif kind == "few_pairs":
        body["metadata"] = {f"k{n}": "x" * (size // 12) for n in range(12)}
    elif kind == "many_pairs":
        body["metadata"] = {f"k{n}": "x" * (size // 90_000 - 20) for n in range(90_000)}
    elif kind == "too_many_pairs":
        body["metadata"] = {f"k{n}": 1 for n in range(size // 14)}
    else:
        return b'{"model":"up/v","messages":[' + b"[]," * (size // 3) + b"[]]}"
    return json.dumps(body).encode()


KINDS = {
    "one_text": 200,
    "many_messages": 200,
    "few_pairs": 200,
    "many_pairs": 200,
    "too_many_pairs": 413,
    "brackets": 413,
}


@pytest.mark.alone
@pytest.mark.parametrize("kind", KINDS)
async def test_large_body_delays_no_neighbour_and_needs_bounded_memory(
    kind: str, new_server: Server
) -> None:
    body, statuses = large_body(kind), list[int]()

    async def attack() -> None:
        async with calling(new_server.port) as call:
            await call.request("POST", "/v1/chat/completions", body)
            statuses.append(await call.head())
            await call.read_all()

    before = resident_bytes(new_server)
    delay = await longest_delay_s(new_server, attack)
    grown = peak_bytes(new_server) - before
    assert statuses == [KINDS[kind]]
    assert delay <= MORE_S
    assert grown <= PEAK * len(body), f"{grown / MB:.0f} MB for {len(body) / MB:.0f} MB"


@pytest.mark.alone
@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_compressed_bodies_stay_within_the_budget_and_delay_no_neighbour(
    coding: str, new_server: Server
) -> None:
    """Each is a few KB that become `LARGE_MB`: one alone, then many at once."""
    encode = gzip.compress if coding == "gzip" else zstd.compress
    body, statuses = encode(large_body("many_messages")), list[int]()

    async def post() -> None:
        async with calling(new_server.port) as call:
            headers = (("Content-Encoding", coding),)
            await call.request("POST", "/v1/chat/completions", body, headers)
            statuses.append(await call.head())
            await call.read_all()

    before = resident_bytes(new_server)
    assert await longest_delay_s(new_server, post) <= MORE_S
    async with trio.open_nursery() as nursery:
        for _ in range(BODIES):
            nursery.start_soon(post)
    grown = peak_bytes(new_server) - before
    assert len(body) < 100_000
    assert (statuses[0], set(statuses)) == (200, {200, 503})
    # Text and values are counted, but not the calls made of them and the requests to providers.
    assert grown < BUDGET * 1.2 + 2 * PEAK * LARGE_MB * MB, f"{grown / MB:.0f} MB"


def peak_bytes(server: Server) -> int:
    """Return the most resident memory that the process ever had."""
    status = Path(f"/proc/{server.pid}/status").read_text().splitlines()
    (line,) = [line for line in status if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def gets_and_resets(count: int) -> bytes:
    ids = [(2 * number + 1).to_bytes(4, "big") for number in range(count)]
    return b"".join(GET_AND_RESET % (id, id) for id in ids)


FLOODS = {
    "settings": b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" * 30_000,
    "empty_data": (OPEN_POST + b"\x00\x00\x00\x00\x00\x00\x00\x00\x01" * 30_000),
    "one_byte_data": (OPEN_POST + b"\x00\x00\x01\x00\x00\x00\x00\x00\x01x" * 30_000),
    "get_and_reset": gets_and_resets(5000),
    "fragments": b"\x01\x80" + bytes(4) + (b"\x00\x80" + bytes(4)) * 30_000,
}


@pytest.mark.alone
@pytest.mark.parametrize("name", FLOODS)
async def test_flood_of_frames_delays_no_neighbour(name: str, server: Server) -> None:
    async def attack() -> None:
        for _ in range(3 if FULL else 1):
            opening = WEBSOCKET if name == "fragments" else PREFACE
            async with raw(server, opening) as stream:
                await stream.receive_some()
                await send(stream, FLOODS[name])
                with trio.move_on_after(1):
                    await read_to_end(stream)

    assert await longest_delay_s(server, attack) <= MORE_S
    assert (await metrics(server))["trouper_connections_crashed_total"] == 0
