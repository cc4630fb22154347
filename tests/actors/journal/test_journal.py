"""Tests of the journal: one writer and any number of independent readers."""

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from actors.journal.journal import Journal, Subscription
from actors.turn.events import AnyEvent, Text


def texts(*deltas: str) -> list[AnyEvent]:
    return [Text(delta) for delta in deltas]


async def follow(subscription: Subscription, got: list[AnyEvent]) -> None:
    while not subscription.exhausted:
        got += await subscription.read()


async def test_reader_waits_for_appended_events(nursery: trio.Nursery) -> None:
    journal, got = Journal(), list[AnyEvent]()
    nursery.start_soon(follow, journal.subscribe(), got)
    await wait_all_tasks_blocked()
    assert journal.readers
    journal.append(texts("a"))
    await wait_all_tasks_blocked()
    assert got == texts("a")
    journal.append(texts("b"))
    journal.close()
    await wait_all_tasks_blocked()
    assert got == texts("a", "b")
    assert not journal.readers


async def test_late_reader_reads_everything_at_once() -> None:
    journal = Journal()
    journal.append(texts("a", "b"))
    journal.append(texts("c"))
    late = journal.subscribe()
    assert await late.read() == texts("a", "b", "c")
    assert late.read_nowait() == []
    assert not late.exhausted


async def test_reader_after_the_end_does_not_wait() -> None:
    journal = Journal(texts("a"), closed=True)
    subscription = journal.subscribe()
    assert await subscription.read() == texts("a")
    assert subscription.exhausted
    assert await subscription.read() == []


async def test_subscription_may_start_in_the_middle_or_past_the_end() -> None:
    journal = Journal(texts("a", "b", "c"), closed=True)
    assert await journal.subscribe(2).read() == texts("c")
    assert journal.subscribe(7).exhausted


async def test_nudge_wakes_readers_without_events(nursery: trio.Nursery) -> None:
    journal, woken = Journal(), list[list[AnyEvent]]()

    async def read_once() -> None:
        woken.append(await journal.subscribe().read())

    nursery.start_soon(read_once)
    nursery.start_soon(read_once)
    await wait_all_tasks_blocked()
    journal.nudge()
    await wait_all_tasks_blocked()
    assert woken == [[], []]


async def test_close_wakes_all_readers(nursery: trio.Nursery) -> None:
    journal = Journal()
    all_got: list[list[AnyEvent]] = [[] for _ in range(20)]
    for got in all_got:
        nursery.start_soon(follow, journal.subscribe(), got)
    await wait_all_tasks_blocked()
    journal.append(texts("a"))
    journal.close()
    await wait_all_tasks_blocked()
    assert all_got == [texts("a")] * 20


async def test_slow_reader_does_not_block_others(nursery: trio.Nursery) -> None:
    journal, quick = Journal(), list[AnyEvent]()
    slow = journal.subscribe()
    nursery.start_soon(follow, journal.subscribe(), quick)
    for number in range(100):
        journal.append(texts(str(number)))
        await wait_all_tasks_blocked()
        assert len(quick) == number + 1
    journal.close()
    assert slow.read_nowait() == quick


@given(st.lists(st.integers(0, 3)), st.lists(st.booleans()))
def test_each_event_is_read_once_in_order(sizes: list[int], reads: list[bool]) -> None:
    journal, got = Journal(), list[AnyEvent]()
    subscription = journal.subscribe()
    for turn, size in enumerate(sizes):
        journal.append(texts(*(f"{turn}.{i}" for i in range(size))))
        if reads and reads.pop():
            got += subscription.read_nowait()
    journal.close()
    got += subscription.read_nowait()
    assert got == journal.events
    assert subscription.exhausted
