"""Readers that stop or dawdle: they lose their subscriptions, and cost nobody else anything."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.live import harness
from tests.live.client import JSON, Call, chatting, live_turns, reports, turn
from tests.live.gauges import first_token_s, p, resident
from tests.live.harness import FULL, Process, Server, until

STALL_S = 3.0
CROWD = 500 if FULL else 100
CROWD_STALL_S = 20.0 if FULL else 10.0
ASKS = 40
LATER_S = 0.020
"""How much longer a healthy client may wait for its first token."""
RUNNING_ON = "first=0,delay=1ms,tokens=100000"
"""Some 250 KB of frames in a second, for a hundred seconds."""
BURST = "first=0,delay=0,tokens=1500,stall=1200"
"""280 KB of frames, then nothing: more than the kernel takes for one who does not read."""
SPEED = 50_000
"""Bytes that a slow reader takes in a second."""
SEGMENT = 65_536
"""Linux takes one for stalled that reads on but never has room for a segment (here: of 64 KiB)."""
HELD = 512 * 1024
"""Bytes for each reader that does not read a `BURST`: its journal, a part, an open stream."""


@asynccontextmanager
async def starting(directory: Path, upstream: Process, limits: str) -> AsyncIterator[Server]:
    settings = f"grace_s = 0\ndrain_s = 1\n[limits]\n{limits}\n[timeouts]\nidle_s = 120\n"
    config = harness.write_config(directory, upstream.port, settings)
    with harness.serving(directory, config) as server:
        yield server


@asynccontextmanager
async def narrow(
    server: Server, model: str, user: str, *, buffer: int = 8192
) -> AsyncIterator[Call]:
    """A client whose system takes little for it, with the response's head read."""
    async with chatting(server, model, receive_buffer=buffer, user=user) as call:
        assert await call.head() == 200
        yield call


async def closed(upstream: Process, user: str) -> JSON:
    """The witness's report, once its connection is closed."""

    async def look() -> JSON | None:
        found = await reports(upstream, user)
        return found[0] if found and found[0]["closed_at"] is not None else None

    report = await until(look, within_s=30)
    assert report is not None
    return report


async def ended(server: Server, turn_id: str) -> JSON:
    async def look() -> JSON | None:
        found = await turn(server, turn_id)
        return found if found["ended_at"] else None

    found = await until(look)
    assert found is not None
    return found


async def test_a_reader_that_stops_loses_its_subscription(
    tmp_path: Path, upstream: Process
) -> None:
    async with (
        starting(tmp_path, upstream, f"write_stall_s = {STALL_S}") as server,
        narrow(server, f"up/v:{RUNNING_ON}", "stops") as call,
    ):
        stopped_at = time.monotonic()
        report = await closed(upstream, "stops")
        assert isinstance(report["closed_at"], float)
        freed_s = report["closed_at"] - stopped_at
        found = await ended(server, call.turn_id)
    assert abs(freed_s - STALL_S) < 2
    assert (found["status"], found["reason"]) == ("incomplete", "client_disconnected")
    assert found["disconnect_stage"] == "mid_stream"


async def logged(server: Server, event: str) -> bool:
    return bool(server.logged(event))


async def dawdle(call: Call) -> None:
    """Read slowly until the connection ends."""
    while data := await call.more():  # noqa: ASYNC110  # it is the slowness that is tested
        await trio.sleep(len(data) / SPEED)


async def test_a_reader_that_is_too_slow_loses_its_subscription(
    tmp_path: Path, upstream: Process
) -> None:
    limits = "reader_lag_bytes = 65536\nreader_bytes_per_s = 1000000"
    async with (
        starting(tmp_path, upstream, limits) as server,
        narrow(server, f"up/v:{RUNNING_ON}", "dawdles", buffer=SEGMENT) as call,
    ):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(dawdle, call)
            await closed(upstream, "dawdles")
            nursery.cancel_scope.cancel()
        await call.rest()
        assert not call.whole, "nobody may take it for the whole answer"
        found = await ended(server, call.turn_id)
        await until(lambda: logged(server, "reader_too_slow"))
    assert (found["status"], found["reason"]) == ("incomplete", "client_disconnected")


async def test_a_slow_reader_with_the_default_limits_is_kept(
    tmp_path: Path, upstream: Process
) -> None:
    async with (
        starting(tmp_path, upstream, "") as server,
        narrow(server, f"up/v:{RUNNING_ON}", "patient", buffer=SEGMENT) as call,
    ):
        with trio.move_on_after(6):
            await dawdle(call)
            pytest.fail(f"it was cut off: {server.said}")
        assert await live_turns(server) == 1, server.said


@pytest.mark.alone
async def test_a_crowd_that_does_not_read_costs_others_nothing(
    tmp_path: Path, upstream: Process, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = f"write_stall_s = {CROWD_STALL_S}"
    async with starting(tmp_path, upstream, limits) as server, AsyncExitStack() as crowd:
        await first_token_s(server, ASKS)
        alone, memory = await first_token_s(server, ASKS), resident(server)
        opening_at = time.monotonic()
        for _ in range(CROWD):
            await crowd.enter_async_context(narrow(server, f"up/v:{BURST}", "crowd"))
        opened_s = time.monotonic() - opening_at
        assert opened_s < CROWD_STALL_S - 3, "the first was to stall after the last had come"
        beside, held = await first_token_s(server, ASKS), resident(server) - memory
        assert await live_turns(server) == CROWD
        await until(lambda: nobody_plays(server), within_s=CROWD_STALL_S + 5)
        after = resident(server) - memory
    later = p(0.5, beside) - p(0.5, alone)
    with capsys.disabled():
        print(  # noqa: T201 (what the test is for)
            f"\n{CROWD} readers that do not read: first token {1000 * p(0.5, alone):.1f} →"
            f" {1000 * p(0.5, beside):.1f} ms, {held / CROWD / 1024:.0f} KiB for each,"
            f" {after / CROWD / 1024:.0f} after they had gone"
        )
    assert later < LATER_S
    assert held < CROWD * HELD


async def nobody_plays(server: Server) -> bool:
    return await live_turns(server) == 0
