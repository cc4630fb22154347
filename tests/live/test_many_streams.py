"""A thousand streams at a token per second on one process: nobody waits, nobody is forgotten."""

import time
from pathlib import Path

import pytest
import trio

from tests.live import harness
from tests.live.client import Call, chatting, live_turns
from tests.live.frames import read_frames
from tests.live.gauges import first_token_s, resident
from tests.live.harness import FULL, Process, Server, until

STREAMS = 1000 if FULL else 300
SILENT = STREAMS // 10
"""How many of them say nothing after their first token."""
AT_A_TIME = 25
WATCHED_S = 20.0 if FULL else 8.0
HEARTBEAT_S = 2.0
LATE_S = 1.0
PER_STREAM = 64 * 1024
"""Bytes of memory."""
SLOW = "first=0,delay=1s,tokens=200"
MUTE = "delay=0,tokens=50,stall=1"


class Reader:
    """One open stream: what came, and the longest wait for anything."""

    def __init__(self) -> None:
        self.waited_s = 0.0
        self.ended = False
        self._call: Call | None = None

    @property
    def is_open(self) -> bool:
        """Whether the first tokens are here."""
        return self._call is not None

    @property
    def frames(self) -> int:
        """How many have come; 0 until it is open."""
        return len(read_frames(bytes(self._call.body), cut=True)) if self._call else 0

    async def run(self, server: Server, model: str, opening: trio.CapacityLimiter) -> None:
        """Open it when it is its turn, and read until cancelled."""
        await opening.acquire_on_behalf_of(self)
        async with chatting(server, f"up/v:{model}", receive_buffer=65_536) as call:
            assert await call.head() == 200
            await call.frames(2)
            opening.release_on_behalf_of(self)
            self._call = call
            await self._read(call)

    async def _read(self, call: Call) -> None:
        at = time.monotonic()
        while await call.more():
            now = time.monotonic()
            self.waited_s, at = max(self.waited_s, now - at), now
        self.ended = True


@pytest.mark.alone
async def test_many_open_streams(
    tmp_path: Path, upstream: Process, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = f"[turns]\nheartbeat_s = {HEARTBEAT_S}\n[timeouts]\nidle_s = 300\n"
    config = harness.write_config(tmp_path, upstream.port, settings)
    with harness.serving(tmp_path, config) as server:
        await first_token_s(server, 30)
        before = resident(server)
        models = [MUTE if number < SILENT else SLOW for number in range(STREAMS)]
        readers = [Reader() for _ in models]
        opening = trio.CapacityLimiter(AT_A_TIME)
        async with trio.open_nursery() as nursery:
            for reader, model in zip(readers, models, strict=True):
                nursery.start_soon(reader.run, server, model, opening)
            await until(lambda: all_open(readers), within_s=60)
            seen = [reader.frames for reader in readers]
            await trio.sleep(WATCHED_S)
            assert await live_turns(server) == STREAMS
            per_stream = (resident(server) - before) / STREAMS
            nursery.cancel_scope.cancel()
        await until(lambda: nobody_plays(server), within_s=30)
    worst_s = max(reader.waited_s for reader in readers)
    with capsys.disabled():
        print(  # noqa: T201 (what the test is for)
            f"\n{STREAMS} streams: {per_stream / 1024:.1f} KiB for each; the longest silence"
            f" {worst_s:.2f} s with heartbeat_s = {HEARTBEAT_S:g}"
        )
    assert not any(reader.ended for reader in readers)
    assert worst_s <= HEARTBEAT_S + LATE_S
    for reader, then, model in zip(readers, seen, models, strict=True):
        if model == SLOW:
            assert reader.frames - then >= WATCHED_S - 2
    assert per_stream <= PER_STREAM


async def all_open(readers: list[Reader]) -> bool:
    return all(reader.is_open for reader in readers)


async def nobody_plays(server: Server) -> bool:
    return await live_turns(server) == 0
