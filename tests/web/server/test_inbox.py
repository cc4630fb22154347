"""What the server tells one request: in order, bounded, and its end without delay."""

import pytest
import trio
from hypercorn.typing import ASGIReceiveEvent, HTTPDisconnectEvent, HTTPRequestEvent
from trio.testing import wait_all_tasks_blocked

from web.server.inbox import Inbox

GONE = HTTPDisconnectEvent(type="http.disconnect")


def part(body: bytes, *, more: bool = True) -> HTTPRequestEvent:
    return HTTPRequestEvent(type="http.request", body=body, more_body=more)


async def test_parts_come_in_order_and_the_end_again_and_again() -> None:
    inbox = Inbox()
    for message in (part(b"a"), part(b"b", more=False), GONE):
        await inbox.put(message)
    got = [await inbox.get() for _ in range(4)]
    assert got == [part(b"a"), part(b"b", more=False), GONE, GONE]


async def test_the_end_wakes_who_waits_and_never_waits_itself() -> None:
    inbox = Inbox()
    got: list[ASGIReceiveEvent] = []

    async def get() -> None:
        got.append(await inbox.get())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(get)
        await wait_all_tasks_blocked()
        await inbox.put(GONE)
    assert got == [GONE]


@pytest.mark.parametrize("how", ["get", "end", "close"])
async def test_a_full_inbox_makes_the_sender_wait(how: str) -> None:
    inbox = Inbox()
    sent: list[int] = []

    async def fill() -> None:
        for number in range(40):
            await inbox.put(part(b"%d" % number))
            sent.append(number)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fill)
        await wait_all_tasks_blocked()
        assert len(sent) < 20, "it was to wait"
        if how == "get":
            assert [(await inbox.get()).get("body") for _ in range(40)] == [
                b"%d" % number for number in range(40)
            ]
        elif how == "end":
            await inbox.put(GONE)
        else:
            inbox.close()
    assert len(sent) == 40


async def test_whether_the_whole_body_is_there() -> None:
    inbox = Inbox()
    assert not inbox.holds_whole_body
    await inbox.put(part(b"a"))
    assert not inbox.holds_whole_body
    await inbox.put(part(b"", more=False))
    assert inbox.holds_whole_body


@pytest.mark.parametrize("early", [True, False])
async def test_the_end_is_told_once(early: bool) -> None:
    inbox = Inbox()
    told: list[int] = []
    if early:
        await inbox.put(GONE)
    inbox.when_over(lambda: told.append(1))
    await inbox.put(GONE)
    await inbox.put(GONE)
    assert told == [1]


async def test_nobody_is_told_of_the_end_of_what_was_closed() -> None:
    inbox = Inbox()
    told: list[int] = []
    inbox.when_over(lambda: told.append(1))
    inbox.close()
    await inbox.put(GONE)
    assert told == []
