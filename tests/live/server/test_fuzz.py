"""Thousands of malformed connections: no 500, no crash in the log, and a neighbour is served."""

import random
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
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
AT_A_TIME = 48
"""Number of connections of each kind that are open at the same time."""
SETTINGS = """
grace_s = 0
drain_s = 1
http2 = true
keep_alive_s = 0.5
header_s = 0.5
body_s = 0.5
"""
"""Short timeouts, because most conversations last until the server closes the connection."""
STUCK_S = 2.0
"""Seconds after which the client closes a WebSocket that waits for the rest of a frame."""
LONGEST_S = 2.0
"""Maximum time in seconds that a neighbour's request may take on a busy machine."""
INTENDED = {501, 503, 505}
"""Statuses above 499 that are correct: unknown methods, simulated models, unknown versions."""


async def converse(port: int, parts: list[bytes], *, end: bool) -> bytes:
    """Send the parts, each after the first answer, and return all data up to the end."""
    got = b""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        with suppress(trio.BrokenResourceError), trio.move_on_after(STUCK_S):
            for part in parts:
                await stream.send_all(part)
                if part is not parts[-1]:
                    got += await stream.receive_some()
            if end:
                await stream.send_eof()
            async for data in stream:
                got += data
    return got


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
ATTACKS: list[tuple[Attack, int]] = [
    (fuzz_http1, 10_000 // SCALE),
    (fuzz_http2, 3_000 // SCALE),
    (fuzz_websocket, 2_000 // SCALE),
]


async def run(server: Server, attack: Attack, count: int) -> None:
    """Run an attack `count` times, each from its own seed, and check the statuses."""
    statuses: Counter[int] = Counter()
    seeds = iter(range(count))

    async def work() -> None:
        for seed in seeds:
            for status in await attack(server.port, random.Random(SEED * 1_000_000 + seed)):
                assert status < 500 or status in INTENDED, f"seed {seed} got {status}"
                statuses[status] += 1

    async with trio.open_nursery() as nursery:
        for _ in range(AT_A_TIME):
            nursery.start_soon(work)
    assert statuses.total() > count / 3, "most connections must get an answer"
    assert len(statuses) > 3


async def be_a_neighbour(server: Server, waits: list[float]) -> None:
    """Send valid requests until cancelled, and record how long each took."""
    while True:
        began = time.monotonic()
        status, _ = await fetch(server, "/v1/models")
        assert status == 200
        waits.append(time.monotonic() - began)
        await trio.sleep(0.02)


@pytest.mark.alone
async def test_malformed_input_does_no_harm(tmp_path: Path, upstream: Process) -> None:
    config = write_config(tmp_path, upstream.port, SETTINGS)
    waits: list[float] = []
    with serving(tmp_path, config) as server:
        async with trio.open_nursery() as neighbourhood:
            neighbourhood.start_soon(be_a_neighbour, server, waits)
            async with trio.open_nursery() as attacks:
                for attack, count in ATTACKS:
                    attacks.start_soon(run, server, attack, count)
            neighbourhood.cancel_scope.cancel()
        figures = await metrics(server)
    assert len(waits) > 10
    assert max(waits) < LONGEST_S
    failed = ("connections_crashed", "requests_crashed", "malformed_inputs")
    assert {name: figures[f"trouper_{name}_total"] for name in failed} == dict.fromkeys(failed, 0)
    assert [line for line in server.output.splitlines() if '"level":"error"' in line] == []
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e]", server.output)
