"""The queue of messages that wait for a WebSocket handler: ordered, bounded and lossless."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from tests.support.receive_budgets import wide_budget
from web.http.message_queue import MOST, MessageQueue


async def test_messages_are_received_in_order() -> None:
    inbox = MessageQueue(10_000, wide_budget())
    assert all([inbox.put("a"), inbox.put(b"b"), inbox.put("")])
    assert [await inbox.receive() for _ in range(3)] == ["a", b"b", ""]


async def test_waiting_receiver_is_woken() -> None:
    inbox = MessageQueue(10_000, wide_budget())
    got: list[str | bytes] = []

    async def receive() -> None:
        got.append(await inbox.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await wait_all_tasks_blocked()
        assert inbox.put("a")
    assert got == ["a"]


async def test_cancelled_receiver_takes_no_message() -> None:
    inbox = MessageQueue(10_000, wide_budget())
    with trio.CancelScope() as scope:
        scope.cancel()
        await inbox.receive()
    assert scope.cancelled_caught
    inbox.put("a")
    assert await inbox.receive() == "a"


async def test_number_of_messages_is_limited() -> None:
    inbox = MessageQueue(10_000_000, wide_budget())
    for _ in range(2):
        assert all(inbox.put("a") for _ in range(MOST))
        assert not inbox.put("b")
        assert [await inbox.receive() for _ in range(MOST)] == ["a"] * MOST


@pytest.mark.parametrize("message", ["x" * 1000, b"x" * 1000, "€" * 500])
async def test_size_of_messages_is_limited(message: str | bytes) -> None:
    inbox = MessageQueue(2500, wide_budget())
    assert inbox.put(message)
    assert inbox.put(message)
    assert not inbox.put(message)
    await inbox.receive()
    assert inbox.put(message)


async def test_single_message_may_exceed_the_limit() -> None:
    inbox = MessageQueue(10, wide_budget())
    assert inbox.put("x" * 1000)
    assert not inbox.put("")
    await inbox.receive()
    assert inbox.put("x" * 1000)


@given(st.lists(st.integers(0, 400) | st.none(), max_size=300))
def test_messages_are_received_as_put(steps: list[int | None]) -> None:
    """Each number puts a message of that size, each None takes one."""

    async def run() -> None:
        inbox, waiting = MessageQueue(5000, wide_budget()), list[str]()
        for step in steps:
            if step is not None:
                if inbox.put(message := "x" * step):
                    waiting.append(message)
            elif waiting:
                assert await inbox.receive() == waiting.pop(0)
            assert len(waiting) <= MOST
            assert sum(map(len, waiting)) <= 5000
        assert [await inbox.receive() for _ in waiting] == waiting

    trio.run(run)
