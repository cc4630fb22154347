"""Messages that wait for a handler: in order, so many and so large, and lost to nobody."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from web.websocket_inbox import MOST, MessageInbox


async def test_messages_come_in_order() -> None:
    inbox = MessageInbox(10_000)
    assert all([inbox.put("a"), inbox.put(b"b"), inbox.put("")])
    assert [await inbox.receive() for _ in range(3)] == ["a", b"b", ""]


async def test_who_waits_is_woken() -> None:
    inbox = MessageInbox(10_000)
    got: list[str | bytes] = []

    async def receive() -> None:
        got.append(await inbox.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await wait_all_tasks_blocked()
        assert inbox.put("a")
    assert got == ["a"]


async def test_who_is_cancelled_takes_none() -> None:
    inbox = MessageInbox(10_000)
    with trio.CancelScope() as scope:
        scope.cancel()
        await inbox.receive()
    assert scope.cancelled_caught
    inbox.put("a")
    assert await inbox.receive() == "a"


async def test_there_is_room_for_so_many() -> None:
    inbox = MessageInbox(10_000_000)
    for _ in range(2):
        assert all(inbox.put("a") for _ in range(MOST))
        assert not inbox.put("b")
        assert [await inbox.receive() for _ in range(MOST)] == ["a"] * MOST


@pytest.mark.parametrize("message", ["x" * 1000, b"x" * 1000, "€" * 500])
async def test_there_is_room_for_so_much(message: str | bytes) -> None:
    inbox = MessageInbox(2500)
    assert inbox.put(message)
    assert inbox.put(message)
    assert not inbox.put(message)
    await inbox.receive()
    assert inbox.put(message)


async def test_a_single_message_may_be_larger() -> None:
    inbox = MessageInbox(10)
    assert inbox.put("x" * 1000)
    assert not inbox.put("")
    await inbox.receive()
    assert inbox.put("x" * 1000)


@given(st.lists(st.integers(0, 400) | st.none(), max_size=300))
def test_what_is_put_is_what_comes(steps: list[int | None]) -> None:
    """A number puts a message of that size, None takes one."""

    async def play() -> None:
        inbox, waiting = MessageInbox(5000), list[str]()
        for step in steps:
            if step is not None:
                if inbox.put(message := "x" * step):
                    waiting.append(message)
            elif waiting:
                assert await inbox.receive() == waiting.pop(0)
            assert len(waiting) <= MOST
            assert sum(map(len, waiting)) <= 5000
        assert [await inbox.receive() for _ in waiting] == waiting

    trio.run(play)
