"""Stalled and slow readers lose their subscriptions and do not affect other clients."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.support.live import harness
from tests.support.live.harness import Process, Server, until
from tests.support.live.http_client import JSON, Call, live_turns, open_chat, reports, turn
from tests.support.live.measurements import first_token_s, percentile, resident_bytes
from tests.support.sizes import FULL

STALL_S = 3.0
READERS = 500 if FULL else 100
READERS_STALL_S = 20.0 if FULL else 10.0
REQUESTS = 40
MAX_DELAY_S = 0.020
"""Limit of the extra time to first token for a healthy client, in seconds."""
ENDLESS = "first=0,delay=1ms,tokens=100000"
"""Model that sends about 250 KB of frames per second for a hundred seconds."""
BURST = "first=0,delay=0,tokens=1500,stall=1200"
"""Model that sends 280 KB of frames, more than the kernel buffers for a client, then stalls."""
SPEED = 50_000
"""Bytes per second that a slow reader reads."""
SEGMENT = 65_536
"""Receive buffer in bytes. Linux advertises no window unless a segment fits (here 64 KiB), so a
smaller buffer would make a slow reader look stalled."""
MEMORY_PER_READER = 512 * 1024
"""Memory limit per stalled reader of a `BURST`, in bytes: journal, batch and open stream."""


@asynccontextmanager
async def running_server(directory: Path, upstream: Process, limits: str) -> AsyncIterator[Server]:
    settings = f"grace_s = 0\ndrain_s = 1\n[limits]\n{limits}\n[timeouts]\nidle_s = 120\n"
    config = harness.write_config(directory, upstream.port, settings)
    with harness.serving(directory, config) as server:
        yield server


@asynccontextmanager
async def open_narrow_chat(
    server: Server, model: str, user: str, *, buffer: int = 8192
) -> AsyncIterator[Call]:
    """Open a chat with a small receive buffer and read the response headers."""
    async with open_chat(server, model, receive_buffer=buffer, user=user) as call:
        assert await call.head() == 200
        yield call


async def wait_for_close(upstream: Process, user: str) -> JSON:
    """Wait until the upstream connection is closed and return the provider's report."""

    async def look() -> JSON | None:
        found = await reports(upstream, user)
        return found[0] if found and found[0]["closed_at"] is not None else None

    report = await until(look, within_s=30)
    assert report is not None
    return report


async def wait_for_turn_end(server: Server, turn_id: str) -> JSON:
    async def look() -> JSON | None:
        found = await turn(server, turn_id)
        return found if found["ended_at"] else None

    found = await until(look)
    assert found is not None
    return found


async def test_stalled_reader_loses_its_subscription(tmp_path: Path, upstream: Process) -> None:
    async with (
        running_server(tmp_path, upstream, f"write_stall_s = {STALL_S}") as server,
        open_narrow_chat(server, f"up/v:{ENDLESS}", "stops") as call,
    ):
        stopped_at = time.monotonic()
        report = await wait_for_close(upstream, "stops")
        assert isinstance(report["closed_at"], float)
        freed_s = report["closed_at"] - stopped_at
        found = await wait_for_turn_end(server, call.turn_id)
    assert abs(freed_s - STALL_S) < 2
    assert (found["status"], found["reason"]) == ("incomplete", "client_disconnected")
    assert found["disconnect_stage"] == "mid_stream"


async def has_logged(server: Server, event: str) -> bool:
    return bool(server.logged(event))


async def read_slowly(call: Call) -> None:
    """Read slowly until the connection ends."""
    while data := await call.read_more():  # noqa: ASYNC110  # reading slowly is the point
        await trio.sleep(len(data) / SPEED)


async def test_too_slow_reader_loses_its_subscription(tmp_path: Path, upstream: Process) -> None:
    limits = "reader_lag_bytes = 65536\nreader_bytes_per_s = 1000000"
    async with (
        running_server(tmp_path, upstream, limits) as server,
        open_narrow_chat(server, f"up/v:{ENDLESS}", "dawdles", buffer=SEGMENT) as call,
    ):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_slowly, call)
            await wait_for_close(upstream, "dawdles")
            nursery.cancel_scope.cancel()
        await call.read_all()
        assert not call.complete, "the stream must not look complete"
        found = await wait_for_turn_end(server, call.turn_id)
        await until(lambda: has_logged(server, "slow reader dropped"))
    assert (found["status"], found["reason"]) == ("incomplete", "client_disconnected")


async def test_slow_reader_is_kept_with_default_limits(tmp_path: Path, upstream: Process) -> None:
    async with (
        running_server(tmp_path, upstream, "") as server,
        open_narrow_chat(server, f"up/v:{ENDLESS}", "patient", buffer=SEGMENT) as call,
    ):
        with trio.move_on_after(6):
            await read_slowly(call)
            pytest.fail(f"the reader was disconnected: {server.output}")
        assert await live_turns(server) == 1, server.output


@pytest.mark.alone
async def test_many_stalled_readers_do_not_delay_others(
    tmp_path: Path, upstream: Process, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = f"write_stall_s = {READERS_STALL_S}"
    async with running_server(tmp_path, upstream, limits) as server, AsyncExitStack() as readers:
        await first_token_s(server, REQUESTS)
        alone, memory = await first_token_s(server, REQUESTS), resident_bytes(server)
        opening_at = time.monotonic()
        for _ in range(READERS):
            await readers.enter_async_context(open_narrow_chat(server, f"up/v:{BURST}", "crowd"))
        opened_s = time.monotonic() - opening_at
        assert opened_s < READERS_STALL_S - 3, (
            "opening took so long that the first readers may have timed out already"
        )
        with_readers, held = await first_token_s(server, REQUESTS), resident_bytes(server) - memory
        assert await live_turns(server) == READERS
        await until(lambda: no_live_turns(server), within_s=READERS_STALL_S + 5)
        after = resident_bytes(server) - memory
    delay_s = percentile(0.5, with_readers) - percentile(0.5, alone)
    with capsys.disabled():
        print(  # noqa: T201 (reports the measurement)
            f"\n{READERS} stalled readers: first token {1000 * percentile(0.5, alone):.1f} →"
            f" {1000 * percentile(0.5, with_readers):.1f} ms, {held / READERS / 1024:.0f} KiB each,"
            f" {after / READERS / 1024:.0f} after they were dropped"
        )
    assert delay_s < MAX_DELAY_S
    assert held < READERS * MEMORY_PER_READER


async def no_live_turns(server: Server) -> bool:
    return await live_turns(server) == 0
