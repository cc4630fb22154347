"""Places at a provider: bounded, in order, and given back whatever happens."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.routing.gate import Gate, ProviderBusy


class Visitor:
    """Takes a place, stays for a while, notes when it got in."""

    def __init__(self, gate: Gate, name: str, log: list[str], *, stays_s: float = 10.0) -> None:
        self._gate = gate
        self._name = name
        self._log = log
        self._stays_s = stays_s
        self.scope = trio.CancelScope()

    async def visit(self) -> None:
        with self.scope:
            try:
                async with self._gate.place():
                    self._log.append(f"{self._name} at {trio.current_time():g}")
                    await trio.sleep(self._stays_s)
            except ProviderBusy:
                self._log.append(f"{self._name} busy at {trio.current_time():g}")


async def arrive(nursery: trio.Nursery, *visitors: Visitor) -> None:
    """One after the other, so that their order is certain."""
    for visitor in visitors:
        nursery.start_soon(visitor.visit)
        await wait_all_tasks_blocked()


async def test_without_a_limit_nothing_waits() -> None:
    gate = Gate(None, 0)
    for _ in range(1000):
        await gate.acquire()
    assert (gate.in_flight, gate.waiting) == (1000, 0)
    for _ in range(1000):
        gate.release()
    assert gate.in_flight == 0


async def test_first_come_first_served(autojump_clock: MockClock) -> None:
    gate, log = Gate(2, 100), list[str]()
    async with trio.open_nursery() as nursery:
        await arrive(nursery, *(Visitor(gate, name, log) for name in "abcde"))
        assert (gate.in_flight, gate.waiting) == (2, 3)
    # Trio shuffles tasks that wake at the same moment.
    assert sorted(log) == ["a at 0", "b at 0", "c at 10", "d at 10", "e at 20"]
    assert (gate.in_flight, gate.waiting) == (0, 0)


async def test_nobody_overtakes_those_who_wait(autojump_clock: MockClock) -> None:
    gate, log = Gate(1, 100), list[str]()
    await gate.acquire()
    async with trio.open_nursery() as nursery:
        await arrive(nursery, Visitor(gate, "early", log))
        gate.release()
        await Visitor(gate, "late", log).visit()
    assert log == ["early at 0", "late at 10"]


async def test_a_wait_is_bounded(autojump_clock: MockClock) -> None:
    gate, log = Gate(1, 5), list[str]()
    async with trio.open_nursery() as nursery:
        await arrive(nursery, Visitor(gate, "a", log), Visitor(gate, "b", log))
    assert log == ["a at 0", "b busy at 5"]
    assert (gate.in_flight, gate.waiting) == (0, 0)


async def test_busy_says_what_the_limit_was(autojump_clock: MockClock) -> None:
    gate = Gate(1, 2.5)
    async with gate.place():
        with pytest.raises(ProviderBusy) as caught:
            await gate.acquire()
    assert (caught.value.limit, caught.value.wait_s) == (1, 2.5)
    assert str(caught.value) == "all 1 places at the provider stayed taken for 2.5 s"


async def test_a_place_that_comes_free_just_in_time_is_taken(autojump_clock: MockClock) -> None:
    gate, log = Gate(1, 5), list[str]()
    async with trio.open_nursery() as nursery:
        await arrive(nursery, Visitor(gate, "a", log, stays_s=4.5), Visitor(gate, "b", log))
    assert log == ["a at 0", "b at 4.5"]


async def test_who_is_cancelled_while_waiting_takes_no_place(autojump_clock: MockClock) -> None:
    gate, log = Gate(1, 100), list[str]()
    visitors = [Visitor(gate, name, log) for name in "abc"]
    async with trio.open_nursery() as nursery:
        await arrive(nursery, *visitors)
        visitors[1].scope.cancel()
    assert log == ["a at 0", "c at 10"]
    assert (gate.in_flight, gate.waiting) == (0, 0)


async def test_who_is_cancelled_inside_gives_the_place_back(autojump_clock: MockClock) -> None:
    gate, log = Gate(1, 100), list[str]()
    visitors = [Visitor(gate, name, log) for name in "ab"]
    async with trio.open_nursery() as nursery:
        await arrive(nursery, *visitors)
        await trio.sleep(3)
        visitors[0].scope.cancel()
    assert log == ["a at 0", "b at 3"]


async def test_no_place_is_lost_when_handing_over_and_cancelling_coincide(
    autojump_clock: MockClock,
) -> None:
    gate, log = Gate(1, 100), list[str]()
    await gate.acquire()
    visitor = Visitor(gate, "a", log)
    async with trio.open_nursery() as nursery:
        await arrive(nursery, visitor)
        gate.release()
        visitor.scope.cancel()
    assert (gate.in_flight, gate.waiting) == (0, 0)
    with trio.fail_after(1):
        await gate.acquire()


async def test_an_error_inside_is_seen_and_the_place_given_back() -> None:
    gate = Gate(1, 0)
    with pytest.raises(ZeroDivisionError):
        async with gate.place():
            raise ZeroDivisionError
    assert gate.in_flight == 0
