"""Tests of reader pace: the rule itself, and a writer that applies it."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from actors.journal.journal import AT_ONCE, Journal
from actors.journal.reader_pace import HEAD_START, Pace, ReaderTooSlow, SlowReader
from actors.turn.events import AnyEvent, Text
from actors.writer import Writer
from tests.support.sample_events import STARTED, ended
from web.dialects.frames import PING as HEARTBEAT

PACE = Pace(lag_bytes=10_000, bytes_per_s=1000)
EVENT = b"x" * 100


class FixedSizeDialect:
    """A dialect in which every event takes 100 bytes."""

    heartbeat = b": ping\n"
    pending = False
    repeats_much = False

    def comment(self, text: str) -> bytes:
        return f": {text}\n".encode()

    def render(self, events: list[AnyEvent]) -> bytes:
        return EVENT * len(events)


def verdicts_at(step_s: float, step_bytes: int, steps: int) -> list[bool]:
    slow_reader = SlowReader(PACE, 50.0, 7)
    return [
        slow_reader.is_too_slow(50 + n * step_s, 7 + n * step_bytes) for n in range(1, steps + 1)
    ]


def test_reader_at_the_minimum_speed_is_kept() -> None:
    assert not any(verdicts_at(1.0, 1000, 10_000))
    assert not any(verdicts_at(60.0, 60_000, 1000)), "also with large steps"


def test_slow_reader_is_dropped_once_head_start_is_used() -> None:
    verdicts = verdicts_at(1.0, 500, 400)
    assert abs(verdicts.index(True) - HEAD_START // 500) <= 1
    assert all(verdicts[verdicts.index(True) :])


def test_stalled_reader_is_dropped_sooner() -> None:
    assert verdicts_at(1.0, 0, 400).index(True) == HEAD_START // 1000


def test_credit_does_not_exceed_the_head_start() -> None:
    slow_reader = SlowReader(PACE, 0, 0)
    assert not slow_reader.is_too_slow(1, 10_000_000)
    assert slow_reader.is_too_slow(1 + HEAD_START / 1000, 10_000_000)


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(0, 200_000)), max_size=50))
def test_reader_is_dropped_exactly_when_a_head_start_behind(steps: list[tuple[float, int]]) -> None:
    slow_reader, now, taken, debt = SlowReader(PACE, 0, 0), 0.0, 0, 0.0
    for seconds, amount in steps:
        now, taken = now + seconds, taken + amount
        debt = max(0.0, debt - amount) + seconds * PACE.bytes_per_s
        if abs(debt - HEAD_START) > 1:
            assert slow_reader.is_too_slow(now, taken) is (debt > HEAD_START)
        else:
            slow_reader.is_too_slow(now, taken)


def journal_of(events: int) -> Journal:
    middle: list[AnyEvent] = [Text("x")] * (events - 2)
    return Journal([STARTED, *middle, ended()], closed=True)


async def take(journal: Journal, pause_s: float, pace: Pace = PACE) -> int:
    """Read parts with pauses and return the number of bytes."""
    got = 0
    async for part in Writer(journal.subscribe(), FixedSizeDialect(), pace=pace):
        got += len(part.removeprefix(HEARTBEAT))
        await trio.sleep(pause_s)
    return got


async def test_parts_are_limited(autojump_clock: MockClock) -> None:
    journal = journal_of(5000)
    parts = [part async for part in Writer(journal.subscribe(), FixedSizeDialect())]
    assert max(map(len, parts)) <= AT_ONCE * len(EVENT) + len(HEARTBEAT)
    assert b"".join(parts) == HEARTBEAT + EVENT * 5000


async def test_fast_reader_gets_everything(autojump_clock: MockClock) -> None:
    assert await take(journal_of(5000), pause_s=AT_ONCE * 100 / 1001) == 500_000


async def test_slow_reader_loses_its_subscription(autojump_clock: MockClock) -> None:
    with pytest.raises(ReaderTooSlow):
        await take(journal_of(5000), pause_s=AT_ONCE * 100 / 300)
    assert 100 < trio.current_time() < 400


async def test_slow_reader_within_the_lag_limit_is_kept(autojump_clock: MockClock) -> None:
    patient = Pace(lag_bytes=500_000, bytes_per_s=1000)
    assert await take(journal_of(5000), 1000, patient) == 500_000


async def test_silence_does_not_count_as_lag(autojump_clock: MockClock) -> None:
    journal = Journal([STARTED])
    writer = Writer(journal.subscribe(), FixedSizeDialect(), pace=PACE)
    for _ in range(20):
        await anext(writer)
        burst: list[AnyEvent] = [Text("x") for _ in range(3 * AT_ONCE)]
        journal.append(burst)
        await anext(writer)
        await anext(writer)
        await anext(writer)
        await trio.sleep(1000)
        journal.append([Text("x")])


async def test_reader_of_invisible_events_lets_other_tasks_run(nursery: trio.Nursery) -> None:
    class Blank:
        heartbeat = b": ping\n"
        pending = False
        repeats_much = False

        def comment(self, text: str) -> bytes:
            return f": {text}\n".encode()

        def render(self, events: list[AnyEvent]) -> bytes:
            return b""

    journal, steps = journal_of(5000), []

    async def other() -> None:
        while True:
            steps.append(1)
            await trio.lowlevel.checkpoint()

    nursery.start_soon(other)
    assert [part async for part in Writer(journal.subscribe(), Blank())] == [HEARTBEAT]
    assert len(steps) > 5000 / AT_ONCE / 2
    nursery.cancel_scope.cancel()
