"""Thousands of malformed connections: no 500, no crash in the log, and a neighbour is served."""

import random
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import hpack
import pytest
import trio

from tests.support.live.harness import Process, Server, serving, write_config
from tests.support.live.http_client import fetch, metrics
from tests.support.live.mutations import http1, http2, websocket
from tests.support.sizes import FULL

SEED = 12
SCALE = 1 if FULL else 20
AT_A_TIME = 32
FIRST_S = 0.3
"""Seconds to wait for the first byte of a response; input may be incomplete."""
QUIET_S = 0.1
"""Seconds without data after which a response counts as complete."""
LONGEST_S = 2.0
"""Maximum time in seconds that a neighbour's request may take on a busy machine."""
INTENDED = {501, 503, 505}
"""Statuses above 499 that are correct: unknown methods, simulated models, unknown versions."""

Statuses = Counter[int]


async def converse(port: int, parts: list[bytes], *, end: bool) -> bytes:
    """Send the parts, each after the answer to the one before, and return all answers."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    got = b""
    async with stream:
        try:
            for number, part in enumerate(parts, 1):
                await stream.send_all(part)
                if end and number == len(parts):
                    await stream.send_eof()
                got += await _answer(stream)
        except trio.BrokenResourceError:
            pass  # the server may reset a connection that sends more than it should
    return got


async def _answer(stream: trio.SocketStream) -> bytes:
    got = b""
    while True:
        with trio.move_on_after(QUIET_S if got else FIRST_S) as scope:
            data = await stream.receive_some()
        if scope.cancelled_caught or not data:
            return got
        got += data


def http1_statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


def http2_statuses(answer: bytes) -> list[int]:
    """Return the statuses in the server's HEADERS frames, which it never pads or continues."""
    decoder, found = hpack.Decoder(), []
    while len(answer) >= 9:
        length, kind = int.from_bytes(answer[:3], "big"), answer[3]
        payload, answer = answer[9 : 9 + length], answer[9 + length :]
        if kind == 1:
            found += [int(v) for name, v in decoder.decode(payload, raw=True) if name == b":status"]
    return found


async def fuzz_http1(port: int, rng: random.Random) -> list[int]:
    return http1_statuses(await converse(port, [http1(rng)], end=rng.random() < 0.1))


async def fuzz_http2(port: int, rng: random.Random) -> list[int]:
    answer = await converse(port, http2(rng), end=rng.random() < 0.1)
    return http1_statuses(answer) or http2_statuses(answer)


async def fuzz_websocket(port: int, rng: random.Random) -> list[int]:
    return http1_statuses(await converse(port, websocket(rng), end=rng.random() < 0.2))


Attack = Callable[[int, random.Random], Awaitable[list[int]]]
ATTACKS: dict[str, tuple[Attack, int]] = {
    "http1": (fuzz_http1, 10_000 // SCALE),
    "http2": (fuzz_http2, 3_000 // SCALE),
    "websocket": (fuzz_websocket, 2_000 // SCALE),
}


async def run(server: Server, attack: Attack, count: int) -> Statuses:
    """Run an attack `count` times, each from its own seed, and count the statuses."""
    statuses: Statuses = Counter()
    seeds = iter(range(count))

    async def work() -> None:
        for seed in seeds:
            rng = random.Random(SEED * 1_000_000 + seed)
            for status in await attack(server.port, rng):
                assert status < 500 or status in INTENDED, f"seed {seed} got {status}"
                statuses[status] += 1

    async with trio.open_nursery() as nursery:
        for _ in range(AT_A_TIME):
            nursery.start_soon(work)
    return statuses


async def be_a_neighbour(server: Server, waits: list[float]) -> None:
    """Send valid requests until cancelled, and record how long each took."""
    while True:
        began = time.monotonic()
        status, _ = await fetch(server, "/v1/models")
        assert status == 200
        waits.append(time.monotonic() - began)
        await trio.sleep(0.02)


@pytest.mark.parametrize("name", ATTACKS)
async def test_malformed_input_does_no_harm(tmp_path: Path, upstream: Process, name: str) -> None:
    attack, count = ATTACKS[name]
    config = write_config(tmp_path, upstream.port, "grace_s = 0\ndrain_s = 1\nhttp2 = true\n")
    waits: list[float] = []
    with serving(tmp_path, config) as server:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(be_a_neighbour, server, waits)
            statuses = await run(server, attack, count)
            nursery.cancel_scope.cancel()
        figures = await metrics(server)
        assert (await fetch(server, "/health"))[0] == 200
    assert sum(statuses.values()) > count / 4
    assert len(waits) > 5
    assert max(waits) < LONGEST_S
    assert figures["trouper_connections_crashed_total"] == 0
    assert figures["trouper_requests_crashed_total"] == 0
    assert figures["trouper_malformed_inputs_total"] == 0
    assert [line for line in server.output.splitlines() if '"level":"error"' in line] == []
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e]", server.output)
