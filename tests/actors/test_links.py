"""Links carry batches, merge them, and lose nothing when both ends are cancelled anywhere."""

from collections.abc import Iterable

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.links import CAPACITY, Link, Receiver, Sender
from tests.actors.fakes import AtStep


async def test_a_lone_batch_passes_at_once(autojump_clock: MockClock) -> None:
    link: Link[int] = Link()
    await link.sender.put([1, 2])
    assert await link.receiver.get() == [1, 2]
    assert trio.current_time() == 0


async def test_batches_that_have_gathered_come_as_one() -> None:
    link: Link[int] = Link()
    for number in range(CAPACITY):
        await link.sender.put([number, -number])
    assert await link.receiver.get() == [n for i in range(CAPACITY) for n in (i, -i)]


async def test_a_full_link_makes_the_sender_wait(nursery: trio.Nursery) -> None:
    link: Link[int] = Link(1)
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


async def test_a_closed_sender_ends_the_receiver_after_all_is_taken() -> None:
    link: Link[int] = Link()
    with link.sender:
        await link.sender.put([1])
    assert [batch async for batch in link.receiver] == [[1]]
    with pytest.raises(trio.EndOfChannel):
        await link.receiver.get()


async def test_leftovers_are_taken_once() -> None:
    link: Link[int] = Link()
    await link.sender.put([1])
    await link.sender.put([2])
    assert link.leftovers() == [1, 2]
    assert link.leftovers() == []


async def test_a_batch_whose_sender_was_cancelled_while_waiting_is_left_over(
    autojump_clock: MockClock,
) -> None:
    link: Link[int] = Link(1)
    await link.sender.put([1])
    with trio.move_on_after(1):
        await link.sender.put([2])
    assert link.leftovers() == [1, 2]


async def test_two_who_wait_to_send_lose_nothing(autojump_clock: MockClock) -> None:
    """The half-time warning shares a link with the guard."""
    link: Link[int] = Link(1)
    await link.sender.put([1])
    with trio.move_on_after(1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.sender.put, [2])
            nursery.start_soon(link.sender.put, [3])
    left = link.leftovers()
    assert left[0] == 1
    assert sorted(left) == [1, 2, 3]


async def test_one_of_two_who_wait_gets_through(autojump_clock: MockClock) -> None:
    link: Link[int] = Link(1)
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
    link: Link[int] = Link(capacity)
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
def test_cancelled_anywhere_nothing_is_lost_and_the_order_kept(
    step: int, capacity: int, sizes: list[int], pauses: list[bool]
) -> None:
    trio.run(_cancelled_at, step, capacity, sizes, pauses)
