"""Tests of the checkpointer: events are stored in time and once, even if the store fails."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from actors.journal.checkpointer import CHECKS_PER_INTERVAL, Checkpointer, Tail
from actors.turn.events import AnyEvent, Text
from actors.turn.store_records import Segment
from tests.support.turn_fakes import FLUSH_S, MemoryStore, StoreFault

CHECK_S = FLUSH_S / CHECKS_PER_INTERVAL
EPSILON = 1e-9


@dataclass(eq=False)
class Author:
    """A writing turn: its journal, the time of each event, and how often it was fenced."""

    checkpointer: Checkpointer
    name: str = "turn_1"
    events: list[AnyEvent] = field(default_factory=list)
    written_at: list[float] = field(default_factory=list)
    fenced: int = 0

    def __post_init__(self) -> None:
        self.tail = Tail(self.name, "owner_1", self.events, self._on_fenced)

    def write(self, *deltas: str, size: int = 10) -> None:
        self.events += [Text(delta) for delta in deltas]
        self.written_at += [trio.current_time()] * len(deltas)
        self.checkpointer.mark(self.tail, size)

    def _on_fenced(self) -> None:
        self.fenced += 1


class CheckpointerSetup:
    """A checkpointer with its store and one author."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.checkpointer = Checkpointer(self.store, flush_s=FLUSH_S, flush_bytes=1000)
        self.author = Author(self.checkpointer)

    def kept_at(self, number: int, turn_id: str = "turn_1") -> float:
        """Return the time at which the store first got the event with this number."""
        return min(
            at
            for at, segments in self.store.flushes
            for segment in segments
            if segment.turn_id == turn_id and segment.first_seq <= number <= segment.last_seq
        )


@pytest.fixture
def running(nursery: trio.Nursery) -> CheckpointerSetup:
    running = CheckpointerSetup()
    nursery.start_soon(running.checkpointer.run)
    return running


async def test_event_is_stored_within_the_flush_interval(
    autojump_clock: MockClock, running: CheckpointerSetup
) -> None:
    await trio.sleep(0.123)
    running.author.write("a")
    await trio.sleep(FLUSH_S + EPSILON)
    assert running.store.journal("turn_1") == [Text("a")]


async def test_events_are_batched_within_the_flush_interval(
    autojump_clock: MockClock, running: CheckpointerSetup
) -> None:
    for number in range(10):
        running.author.write(str(number))
        await trio.sleep(0.01)
    await trio.sleep(FLUSH_S + EPSILON)
    assert len(running.store.flushes) == 1


async def test_many_turns_cost_one_transaction(
    autojump_clock: MockClock, running: CheckpointerSetup
) -> None:
    for number in range(100):
        Author(running.checkpointer, f"turn_{number}").write("a")
    await trio.sleep(FLUSH_S + EPSILON)
    ((_, segments),) = running.store.flushes
    assert len(segments) == 100


async def test_tail_beyond_flush_bytes_is_flushed_at_the_next_check(
    autojump_clock: MockClock, running: CheckpointerSetup
) -> None:
    running.author.write("a", size=999)
    running.author.write("b", size=1)
    await trio.sleep(CHECK_S + EPSILON)
    assert running.store.journal("turn_1") == [Text("a"), Text("b")]


async def test_unchanged_journal_is_not_flushed_again(
    autojump_clock: MockClock, running: CheckpointerSetup
) -> None:
    running.author.write("a")
    await trio.sleep(60)
    assert len(running.store.flushes) == 1


async def test_each_flush_contains_only_missing_events(
    autojump_clock: MockClock, running: CheckpointerSetup
) -> None:
    for number in range(20):
        running.author.write(str(number))
        await trio.sleep(0.1)
    await trio.sleep(FLUSH_S + EPSILON)
    assert running.store.journal("turn_1") == running.author.events
    assert len(running.store.flushes) > 3


async def test_failed_flush_is_retried_until_it_succeeds(
    autojump_clock: MockClock, running: CheckpointerSetup
) -> None:
    running.store.trouble["checkpoint"] = StoreFault.REFUSES
    for number in range(10):
        running.author.write(str(number))
        await trio.sleep(0.1)
    assert running.store.refusals > 1
    assert running.store.kept == {}
    del running.store.trouble["checkpoint"]
    await trio.sleep(FLUSH_S + EPSILON)
    assert running.store.journal("turn_1") == running.author.events
    await trio.sleep(60)
    assert len(running.store.flushes) == 1


async def test_failing_store_is_probed_with_one_turn(
    autojump_clock: MockClock, running: CheckpointerSetup
) -> None:
    """Unwritten journals grow: encoding them all at each check would block the event loop."""
    asked: list[int] = []
    checkpoint = running.store.checkpoint

    async def noted(segments: Sequence[Segment]) -> frozenset[str]:
        asked.append(len(segments))
        return await checkpoint(segments)

    running.store.checkpoint = noted  # type: ignore[method-assign]
    running.store.trouble["checkpoint"] = StoreFault.REFUSES
    authors = [Author(running.checkpointer, f"turn_{number}") for number in range(10)]
    for author in authors:
        author.write("a")
    await trio.sleep(10)
    assert asked[0] == 10
    assert set(asked[1:]) == {1}
    del running.store.trouble["checkpoint"]
    await trio.sleep(FLUSH_S + EPSILON)
    assert all(running.store.journal(author.name) == author.events for author in authors)
    assert asked[-1] == 9


async def test_fenced_turn_is_notified_once(
    autojump_clock: MockClock, running: CheckpointerSetup
) -> None:
    other = Author(running.checkpointer, "turn_2")
    running.store.lost_owner.add("turn_1")
    running.author.write("a")
    other.write("b")
    await trio.sleep(60)
    assert running.author.fenced == 1
    assert other.fenced == 0
    assert running.store.journal("turn_1") == []
    assert running.store.journal("turn_2") == [Text("b")]


async def test_finalised_turn_is_not_flushed(
    autojump_clock: MockClock, running: CheckpointerSetup
) -> None:
    running.author.write("a")
    running.checkpointer.forget(running.author.tail)
    await trio.sleep(60)
    assert running.store.flushes == []


async def test_turn_finalised_during_a_failing_flush_is_not_retried(
    autojump_clock: MockClock,
    running: CheckpointerSetup,
) -> None:
    """Otherwise its `ended` could reach the store before the final record, which is spooled."""
    running.store.trouble["checkpoint"] = StoreFault.REFUSES
    running.store.refuses_after_s = 1.0
    running.author.write("a")
    await trio.sleep(0.5)
    running.checkpointer.forget(running.author.tail)
    await trio.sleep(1)
    assert running.store.refusals == 1
    del running.store.trouble["checkpoint"]
    await trio.sleep(60)
    assert running.store.flushes == []


async def test_events_during_a_slow_flush_are_in_the_next_one(
    autojump_clock: MockClock, running: CheckpointerSetup
) -> None:
    running.store.takes_s = 1.0
    running.author.write("a")
    await trio.sleep(0.5)
    running.author.write("b")
    await trio.sleep(60)
    assert [len(segments) for _, segments in running.store.flushes] == [1, 1]
    assert running.store.journal("turn_1") == running.author.events


pauses = st.lists(st.tuples(st.floats(0, 0.6), st.sampled_from([1, 10, 600])), max_size=30)


async def _write_at_any_time(pauses: list[tuple[float, int]]) -> None:
    running = CheckpointerSetup()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(running.checkpointer.run)
        for number, (pause, size) in enumerate(pauses):
            await trio.sleep(pause)
            running.author.write(str(number), size=size)
        await trio.sleep(FLUSH_S + EPSILON)
        nursery.cancel_scope.cancel()
    assert running.store.journal("turn_1") == running.author.events
    for number, at in enumerate(running.author.written_at):
        assert running.kept_at(number) <= at + FLUSH_S + EPSILON


@given(pauses)
def test_events_at_any_time_are_stored_within_the_flush_interval(
    pauses: list[tuple[float, int]],
) -> None:
    trio.run(_write_at_any_time, pauses, clock=MockClock(autojump_threshold=0))


async def _write_through_trouble(pauses: list[tuple[float, int]], troubles: list[float]) -> None:
    running = CheckpointerSetup()

    async def toggle() -> None:
        for pause in troubles:
            await trio.sleep(pause)
            if running.store.trouble.pop("checkpoint", None) is None:
                running.store.trouble["checkpoint"] = StoreFault.REFUSES

    async with trio.open_nursery() as nursery:
        nursery.start_soon(running.checkpointer.run)
        async with trio.open_nursery() as troubled:
            troubled.start_soon(toggle)
            for number, (pause, size) in enumerate(pauses):
                await trio.sleep(pause)
                running.author.write(str(number), size=size)
        running.store.trouble.clear()
        await trio.sleep(FLUSH_S + EPSILON)
        nursery.cancel_scope.cancel()
    assert running.store.journal("turn_1") == running.author.events


@given(pauses, st.lists(st.floats(0, 1), max_size=10))
def test_failing_store_neither_loses_nor_duplicates_events(
    pauses: list[tuple[float, int]], troubles: list[float]
) -> None:
    trio.run(_write_through_trouble, pauses, troubles, clock=MockClock(autojump_threshold=0))
