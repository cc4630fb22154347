"""Events reach the store in time, once each, whatever the store does in between."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from actors.checkpointer import LOOKS_PER_INTERVAL, Checkpointer, Tail
from actors.events import AnyEvent, Text
from actors.ports import Segment
from tests.actors.fakes import FLUSH_S, MemoryStore, Trouble

LOOK_S = FLUSH_S / LOOKS_PER_INTERVAL
EPSILON = 1e-9


@dataclass(eq=False)
class Author:
    """A turn that writes: its journal, when each event came, and whether it was fenced."""

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


class Desk:
    """A checkpointer at work."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.checkpointer = Checkpointer(self.store, flush_s=FLUSH_S, flush_bytes=1000)
        self.author = Author(self.checkpointer)

    def kept_at(self, number: int, turn_id: str = "turn_1") -> float:
        """When the event with this number came to the store first."""
        return min(
            at
            for at, segments in self.store.flushes
            for segment in segments
            if segment.turn_id == turn_id and segment.first_seq <= number <= segment.last_seq
        )


@pytest.fixture
def desk(nursery: trio.Nursery) -> Desk:
    desk = Desk()
    nursery.start_soon(desk.checkpointer.run)
    return desk


async def test_an_event_is_in_the_store_in_time(autojump_clock: MockClock, desk: Desk) -> None:
    await trio.sleep(0.123)
    desk.author.write("a")
    await trio.sleep(FLUSH_S + EPSILON)
    assert desk.store.journal("turn_1") == [Text("a")]


async def test_events_gather_for_a_while(autojump_clock: MockClock, desk: Desk) -> None:
    for number in range(10):
        desk.author.write(str(number))
        await trio.sleep(0.01)
    await trio.sleep(FLUSH_S + EPSILON)
    assert len(desk.store.flushes) == 1


async def test_many_turns_cost_one_transaction(autojump_clock: MockClock, desk: Desk) -> None:
    for number in range(100):
        Author(desk.checkpointer, f"turn_{number}").write("a")
    await trio.sleep(FLUSH_S + EPSILON)
    ((_, segments),) = desk.store.flushes
    assert len(segments) == 100


async def test_much_at_once_does_not_wait(autojump_clock: MockClock, desk: Desk) -> None:
    desk.author.write("a", size=999)
    desk.author.write("b", size=1)
    await trio.sleep(LOOK_S + EPSILON)
    assert desk.store.journal("turn_1") == [Text("a"), Text("b")]


async def test_silence_costs_nothing(autojump_clock: MockClock, desk: Desk) -> None:
    desk.author.write("a")
    await trio.sleep(60)
    assert len(desk.store.flushes) == 1


async def test_each_flush_holds_what_the_store_lacks(autojump_clock: MockClock, desk: Desk) -> None:
    for number in range(20):
        desk.author.write(str(number))
        await trio.sleep(0.1)
    await trio.sleep(FLUSH_S + EPSILON)
    assert desk.store.journal("turn_1") == desk.author.events
    assert len(desk.store.flushes) > 3


async def test_trouble_is_tried_again_until_it_is_over(
    autojump_clock: MockClock, desk: Desk
) -> None:
    desk.store.trouble["checkpoint"] = Trouble.REFUSES
    for number in range(10):
        desk.author.write(str(number))
        await trio.sleep(0.1)
    assert desk.store.refusals > 1
    assert desk.store.kept == {}
    del desk.store.trouble["checkpoint"]
    await trio.sleep(FLUSH_S + EPSILON)
    assert desk.store.journal("turn_1") == desk.author.events
    await trio.sleep(60)
    assert len(desk.store.flushes) == 1


async def test_while_the_store_is_away_one_turn_asks_for_all(
    autojump_clock: MockClock, desk: Desk
) -> None:
    """What cannot be written grows: to encode all of it at each look would stop every stream."""
    asked: list[int] = []
    checkpoint = desk.store.checkpoint

    async def noted(segments: Sequence[Segment]) -> frozenset[str]:
        asked.append(len(segments))
        return await checkpoint(segments)

    desk.store.checkpoint = noted  # type: ignore[method-assign]
    desk.store.trouble["checkpoint"] = Trouble.REFUSES
    authors = [Author(desk.checkpointer, f"turn_{number}") for number in range(10)]
    for author in authors:
        author.write("a")
    await trio.sleep(10)
    assert asked[0] == 10
    assert set(asked[1:]) == {1}
    del desk.store.trouble["checkpoint"]
    await trio.sleep(FLUSH_S + EPSILON)
    assert all(desk.store.journal(author.name) == author.events for author in authors)
    assert asked[-1] == 9


async def test_a_fenced_turn_is_told_once(autojump_clock: MockClock, desk: Desk) -> None:
    other = Author(desk.checkpointer, "turn_2")
    desk.store.lost_owner.add("turn_1")
    desk.author.write("a")
    other.write("b")
    await trio.sleep(60)
    assert desk.author.fenced == 1
    assert other.fenced == 0
    assert desk.store.journal("turn_1") == []
    assert desk.store.journal("turn_2") == [Text("b")]


async def test_a_turn_that_is_finalised_is_left_alone(
    autojump_clock: MockClock, desk: Desk
) -> None:
    desk.author.write("a")
    desk.checkpointer.forget(desk.author.tail)
    await trio.sleep(60)
    assert desk.store.flushes == []


async def test_a_turn_that_is_finalised_during_a_failing_flush_is_not_tried_again(
    autojump_clock: MockClock,
    desk: Desk,
) -> None:
    """Else its `ended` would reach the store ahead of the final record, from the spool."""
    desk.store.trouble["checkpoint"] = Trouble.REFUSES
    desk.store.refuses_after_s = 1.0
    desk.author.write("a")
    await trio.sleep(0.5)
    desk.checkpointer.forget(desk.author.tail)
    await trio.sleep(1)
    assert desk.store.refusals == 1
    del desk.store.trouble["checkpoint"]
    await trio.sleep(60)
    assert desk.store.flushes == []


async def test_events_that_come_during_a_slow_flush_go_with_the_next(
    autojump_clock: MockClock, desk: Desk
) -> None:
    desk.store.takes_s = 1.0
    desk.author.write("a")
    await trio.sleep(0.5)
    desk.author.write("b")
    await trio.sleep(60)
    assert [len(segments) for _, segments in desk.store.flushes] == [1, 1]
    assert desk.store.journal("turn_1") == desk.author.events


pauses = st.lists(st.tuples(st.floats(0, 0.6), st.sampled_from([1, 10, 600])), max_size=30)


async def _write_at_any_time(pauses: list[tuple[float, int]]) -> None:
    desk = Desk()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.checkpointer.run)
        for number, (pause, size) in enumerate(pauses):
            await trio.sleep(pause)
            desk.author.write(str(number), size=size)
        await trio.sleep(FLUSH_S + EPSILON)
        nursery.cancel_scope.cancel()
    assert desk.store.journal("turn_1") == desk.author.events
    for number, at in enumerate(desk.author.written_at):
        assert desk.kept_at(number) <= at + FLUSH_S + EPSILON


@given(pauses)
def test_whenever_an_event_comes_it_is_kept_in_time(pauses: list[tuple[float, int]]) -> None:
    trio.run(_write_at_any_time, pauses, clock=MockClock(autojump_threshold=0))


async def _write_through_trouble(pauses: list[tuple[float, int]], troubles: list[float]) -> None:
    desk = Desk()

    async def toggle() -> None:
        for pause in troubles:
            await trio.sleep(pause)
            if desk.store.trouble.pop("checkpoint", None) is None:
                desk.store.trouble["checkpoint"] = Trouble.REFUSES

    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.checkpointer.run)
        async with trio.open_nursery() as troubled:
            troubled.start_soon(toggle)
            for number, (pause, size) in enumerate(pauses):
                await trio.sleep(pause)
                desk.author.write(str(number), size=size)
        desk.store.trouble.clear()
        await trio.sleep(FLUSH_S + EPSILON)
        nursery.cancel_scope.cancel()
    assert desk.store.journal("turn_1") == desk.author.events


@given(pauses, st.lists(st.floats(0, 1), max_size=10))
def test_trouble_neither_loses_nor_doubles(
    pauses: list[tuple[float, int]], troubles: list[float]
) -> None:
    trio.run(_write_through_trouble, pauses, troubles, clock=MockClock(autojump_threshold=0))
