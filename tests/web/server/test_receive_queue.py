"""The queue of events from the server to one request: ordered, bounded, its end without delay."""

import pytest
import trio
from hypercorn.typing import ASGIReceiveEvent, HTTPDisconnectEvent, HTTPRequestEvent
from trio.testing import wait_all_tasks_blocked

from tests.support.receive_budgets import wide_budget
from web.server.receive_queue import ReceiveQueue

GONE = HTTPDisconnectEvent(type="http.disconnect")


def part(body: bytes, *, more: bool = True) -> HTTPRequestEvent:
    return HTTPRequestEvent(type="http.request", body=body, more_body=more)


async def test_events_are_ordered_and_the_end_repeats() -> None:
    inbox = ReceiveQueue(wide_budget())
    for message in (part(b"a"), part(b"b", more=False), GONE):
        await inbox.put(message)
    got = [await inbox.get() for _ in range(4)]
    assert got == [part(b"a"), part(b"b", more=False), GONE, GONE]


async def test_end_wakes_a_waiting_receiver() -> None:
    inbox = ReceiveQueue(wide_budget())
    got: list[ASGIReceiveEvent] = []

    async def get() -> None:
        got.append(await inbox.get())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(get)
        await wait_all_tasks_blocked()
        await inbox.put(GONE)
    assert got == [GONE]


@pytest.mark.parametrize("how", ["get", "end", "close"])
async def test_full_queue_makes_the_sender_wait(how: str) -> None:
    inbox = ReceiveQueue(wide_budget())
    sent: list[int] = []

    async def fill() -> None:
        for number in range(40):
            await inbox.put(part(b"%d" % number))
            sent.append(number)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fill)
        await wait_all_tasks_blocked()
        assert len(sent) < 20, "the sender must wait"
        if how == "get":
            assert [(await inbox.get()).get("body") for _ in range(40)] == [
                b"%d" % number for number in range(40)
            ]
        elif how == "end":
            await inbox.put(GONE)
        else:
            inbox.close()
    assert len(sent) == 40


async def test_whole_body_is_detected() -> None:
    inbox = ReceiveQueue(wide_budget())
    assert not inbox.has_whole_body
    await inbox.put(part(b"a"))
    assert not inbox.has_whole_body
    await inbox.put(part(b"", more=False))
    assert inbox.has_whole_body


@pytest.mark.parametrize("early", [True, False])
async def test_end_callback_runs_once(early: bool) -> None:
    inbox = ReceiveQueue(wide_budget())
    calls: list[int] = []
    if early:
        await inbox.put(GONE)
    inbox.when_over(lambda: calls.append(1))
    await inbox.put(GONE)
    await inbox.put(GONE)
    assert calls == [1]


async def test_end_callback_does_not_run_after_close() -> None:
    inbox = ReceiveQueue(wide_budget())
    calls: list[int] = []
    inbox.when_over(lambda: calls.append(1))
    inbox.close()
    await inbox.put(GONE)
    assert calls == []
