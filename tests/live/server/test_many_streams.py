"""A thousand slow streams on one process: heartbeats are on time and memory stays bounded."""

import time
from pathlib import Path

import pytest
import trio

from tests.support.live import harness
from tests.support.live.harness import Process, Server, until
from tests.support.live.http_client import Call, live_turns, open_chat
from tests.support.live.measurements import first_token_s, resident_bytes
from tests.support.live.sse_frames import read_frames
from tests.support.sizes import FULL

STREAMS = 1000 if FULL else 300
STALLED_COUNT = STREAMS // 10
"""Number of streams that stall after their first token."""
AT_A_TIME = 25
WATCHED_S = 20.0 if FULL else 6.0
HEARTBEAT_S = 2.0
LATE_S = 1.0
PER_STREAM = 64 * 1024
"""Memory limit per stream, in bytes."""
SLOW = "first=0,delay=1s,tokens=200"
STALLED = "delay=0,tokens=50,stall=1"


class Reader:
    """A stream's reader that measures its longest wait for data."""

    def __init__(self) -> None:
        self.waited_s = 0.0
        self.ended = False
        self._call: Call | None = None

    @property
    def is_open(self) -> bool:
        """True once the first tokens have been received."""
        return self._call is not None

    @property
    def frames(self) -> int:
        """Number of frames received; 0 until the stream is open."""
        return len(read_frames(bytes(self._call.body), allow_partial=True)) if self._call else 0

    async def run(self, server: Server, model: str, limiter: trio.CapacityLimiter) -> None:
        """Open the stream when the limiter admits it, and read until cancelled."""
        await limiter.acquire_on_behalf_of(self)
        async with open_chat(server, f"up/v:{model}", receive_buffer=65_536) as call:
            assert await call.head() == 200
            await call.frames(2)
            limiter.release_on_behalf_of(self)
            self._call = call
            await self._read(call)

    async def _read(self, call: Call) -> None:
        at = time.monotonic()
        while await call.read_more():
            now = time.monotonic()
            self.waited_s, at = max(self.waited_s, now - at), now
        self.ended = True


@pytest.mark.alone
async def test_many_open_streams_get_heartbeats_and_stay_small(
    tmp_path: Path, upstream: Process, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = f"[turns]\nheartbeat_s = {HEARTBEAT_S}\n[timeouts]\nidle_s = 300\n"
    config = harness.write_config(tmp_path, upstream.port, settings)
    with harness.serving(tmp_path, config) as server:
        await first_token_s(server, 30)
        before = resident_bytes(server)
        models = [STALLED if number < STALLED_COUNT else SLOW for number in range(STREAMS)]
        readers = [Reader() for _ in models]
        limiter = trio.CapacityLimiter(AT_A_TIME)
        async with trio.open_nursery() as nursery:
            for reader, model in zip(readers, models, strict=True):
                nursery.start_soon(reader.run, server, model, limiter)
            await until(lambda: all_open(readers), within_s=60)
            seen = [reader.frames for reader in readers]
            await trio.sleep(WATCHED_S)
            assert await live_turns(server) == STREAMS
            per_stream = (resident_bytes(server) - before) / STREAMS
            nursery.cancel_scope.cancel()
        await until(lambda: no_live_turns(server), within_s=30)
    worst_s = max(reader.waited_s for reader in readers)
    with capsys.disabled():
        print(  # noqa: T201 (reports the measurement)
            f"\n{STREAMS} streams: {per_stream / 1024:.1f} KiB each; longest wait"
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


async def no_live_turns(server: Server) -> bool:
    return await live_turns(server) == 0
