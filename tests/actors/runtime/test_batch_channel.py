"""Tests of batch channels: merging of batches, back pressure, and no loss on cancellation."""

from collections.abc import Iterable

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.runtime.batch_channel import CAPACITY, BatchChannel, Receiver, Sender
from tests.support.turn_fakes import AtStep


async def test_single_batch_passes_at_once(autojump_clock: MockClock) -> None:
    link: BatchChannel[int] = BatchChannel()
    await link.sender.put([1, 2])
    assert await link.receiver.get() == [1, 2]
    assert trio.current_time() == 0


async def test_waiting_batches_are_received_as_one() -> None:
    link: BatchChannel[int] = BatchChannel()
    for number in range(CAPACITY):
        await link.sender.put([number, -number])
    assert await link.receiver.get() == [n for i in range(CAPACITY) for n in (i, -i)]


async def test_full_link_makes_the_sender_wait(nursery: trio.Nursery) -> None:
    link: BatchChannel[int] = BatchChannel(1)
    await link.sender.put([1])
    sent = trio.Event()

    async def send() -> None:
        await link.sender.put([2])
        sent.set()

    nursery.start_soon(send)
    await wait_all_tasks_blocked()
    assert not sent.is_set()
    assert await link.receiver.get() == [1, 2]
    await sent.wait()


async def test_closed_sender_ends_the_receiver_after_the_last_batch() -> None:
    link: BatchChannel[int] = BatchChannel()
    with link.sender:
        await link.sender.put([1])
    assert [batch async for batch in link.receiver] == [[1]]
    with pytest.raises(trio.EndOfChannel):
        await link.receiver.get()


async def test_leftovers_are_returned_once() -> None:
    link: BatchChannel[int] = BatchChannel()
    await link.sender.put([1])
    await link.sender.put([2])
    assert link.leftovers() == [1, 2]
    assert link.leftovers() == []


async def test_batch_of_a_cancelled_sender_is_left_over(
    autojump_clock: MockClock,
) -> None:
    link: BatchChannel[int] = BatchChannel(1)
    await link.sender.put([1])
    with trio.move_on_after(1):
        await link.sender.put([2])
    assert link.leftovers() == [1, 2]


async def test_two_waiting_senders_lose_nothing(autojump_clock: MockClock) -> None:
    """A link must not lose items if two tasks wait to send."""
    link: BatchChannel[int] = BatchChannel(1)
    await link.sender.put([1])
    with trio.move_on_after(1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.sender.put, [2])
            nursery.start_soon(link.sender.put, [3])
    left = link.leftovers()
    assert left[0] == 1
    assert sorted(left) == [1, 2, 3]


async def test_receiving_releases_waiting_senders(autojump_clock: MockClock) -> None:
    link: BatchChannel[int] = BatchChannel(1)
    await link.sender.put([1])
    got: list[int] = []
    with trio.move_on_after(1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.sender.put, [2])
            nursery.start_soon(link.sender.put, [3])
            await wait_all_tasks_blocked()
            got += await link.receiver.get()
    assert sorted(got + link.leftovers()) == [1, 2, 3]


async def send_all(sender: Sender[int], batches: Iterable[list[int]], sent: list[int]) -> None:
    with sender:
        for batch in batches:
            sent += batch
            await sender.put(list(batch))


async def receive_all(receiver: Receiver[int], got: list[int], pauses: list[bool]) -> None:
    async for batch in receiver:
        got += batch
        if pauses and pauses.pop():
            await trio.lowlevel.checkpoint()


async def _cancelled_at(step: int, capacity: int, sizes: list[int], pauses: list[bool]) -> None:
    link: BatchChannel[int] = BatchChannel(capacity)
    numbers = iter(range(sum(sizes)))
    batches = [[next(numbers) for _ in range(size)] for size in sizes]
    sent: list[int] = []
    got: list[int] = []
    with trio.CancelScope() as scope:
        canceller = AtStep(step, scope.cancel)
        trio.lowlevel.add_instrument(canceller)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_all, link.sender, batches, sent)
            nursery.start_soon(receive_all, link.receiver, got, pauses)
    trio.lowlevel.remove_instrument(canceller)
    assert got + link.leftovers() == sent


@given(
    st.integers(1, 60),
    st.integers(0, 3),
    st.lists(st.integers(1, 3), max_size=20),
    st.lists(st.booleans(), max_size=20),
)
def test_cancellation_anywhere_keeps_all_items_in_order(
    step: int, capacity: int, sizes: list[int], pauses: list[bool]
) -> None:
    trio.run(_cancelled_at, step, capacity, sizes, pauses)
