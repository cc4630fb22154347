"""Tests of the concurrency gate: limit, order of waiting tasks and release of slots."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.routing.concurrency_gate import ConcurrencyGate, ProviderBusy


@asynccontextmanager
async def slot(gate: ConcurrencyGate) -> AsyncIterator[None]:
    await gate.acquire()
    try:
        yield
    finally:
        gate.release()


class Caller:
    """A task that takes a slot, holds it for `hold_s` seconds and logs when it got it."""

    def __init__(
        self, gate: ConcurrencyGate, name: str, log: list[str], *, hold_s: float = 10.0
    ) -> None:
        self._gate = gate
        self._name = name
        self._log = log
        self._hold_s = hold_s
        self.scope = trio.CancelScope()

    async def call(self) -> None:
        with self.scope:
            try:
                async with slot(self._gate):
                    self._log.append(f"{self._name} at {trio.current_time():g}")
                    await trio.sleep(self._hold_s)
            except ProviderBusy:
                self._log.append(f"{self._name} busy at {trio.current_time():g}")


async def arrive(nursery: trio.Nursery, *callers: Caller) -> None:
    """Start the callers one after the other, so that their order is certain."""
    for caller in callers:
        nursery.start_soon(caller.call)
        await wait_all_tasks_blocked()


async def test_without_a_limit_nothing_waits(autojump_clock: MockClock) -> None:
    gate, log = ConcurrencyGate(None, 0), list[str]()
    async with trio.open_nursery() as nursery:
        for _ in range(1000):
            nursery.start_soon(Caller(gate, "a", log).call)
        await wait_all_tasks_blocked()
        assert gate.in_flight == 1000
    assert log == ["a at 0"] * 1000
    assert gate.in_flight == 0


async def test_first_come_first_served(autojump_clock: MockClock) -> None:
    gate, log = ConcurrencyGate(2, 100), list[str]()
    async with trio.open_nursery() as nursery:
        await arrive(nursery, *(Caller(gate, name, log) for name in "abcde"))
        assert gate.in_flight == 2
        assert log == ["a at 0", "b at 0"]
    # Trio shuffles tasks that wake at the same moment.
    assert sorted(log) == ["a at 0", "b at 0", "c at 10", "d at 10", "e at 20"]
    assert gate.in_flight == 0


async def test_late_task_does_not_overtake_a_waiting_one(autojump_clock: MockClock) -> None:
    gate, log = ConcurrencyGate(1, 100), list[str]()
    await gate.acquire()
    async with trio.open_nursery() as nursery:
        await arrive(nursery, Caller(gate, "early", log))
        gate.release()
        await Caller(gate, "late", log).call()
    assert log == ["early at 0", "late at 10"]


async def test_a_wait_is_bounded(autojump_clock: MockClock) -> None:
    gate, log = ConcurrencyGate(1, 5), list[str]()
    async with trio.open_nursery() as nursery:
        await arrive(nursery, Caller(gate, "a", log), Caller(gate, "b", log))
    assert log == ["a at 0", "b busy at 5"]
    assert gate.in_flight == 0


async def test_slot_released_just_in_time_is_taken(autojump_clock: MockClock) -> None:
    gate, log = ConcurrencyGate(1, 5), list[str]()
    async with trio.open_nursery() as nursery:
        await arrive(nursery, Caller(gate, "a", log, hold_s=4.5), Caller(gate, "b", log))
    assert log == ["a at 0", "b at 4.5"]


async def test_task_cancelled_while_waiting_takes_no_slot(autojump_clock: MockClock) -> None:
    gate, log = ConcurrencyGate(1, 100), list[str]()
    callers = [Caller(gate, name, log) for name in "abc"]
    async with trio.open_nursery() as nursery:
        await arrive(nursery, *callers)
        callers[1].scope.cancel()
    assert log == ["a at 0", "c at 10"]
    assert gate.in_flight == 0


async def test_task_cancelled_while_holding_a_slot_releases_it(autojump_clock: MockClock) -> None:
    gate, log = ConcurrencyGate(1, 100), list[str]()
    callers = [Caller(gate, name, log) for name in "ab"]
    async with trio.open_nursery() as nursery:
        await arrive(nursery, *callers)
        await trio.sleep(3)
        callers[0].scope.cancel()
    assert log == ["a at 0", "b at 3"]


async def test_slot_is_not_lost_when_release_and_cancellation_coincide(
    autojump_clock: MockClock,
) -> None:
    gate, log = ConcurrencyGate(1, 100), list[str]()
    await gate.acquire()
    caller = Caller(gate, "a", log)
    async with trio.open_nursery() as nursery:
        await arrive(nursery, caller)
        gate.release()
        caller.scope.cancel()
    assert gate.in_flight == 0
    with trio.fail_after(1):
        await gate.acquire()


async def test_error_inside_the_block_releases_the_slot() -> None:
    gate = ConcurrencyGate(1, 0)
    with pytest.raises(ZeroDivisionError):
        async with slot(gate):
            raise ZeroDivisionError
    assert gate.in_flight == 0
