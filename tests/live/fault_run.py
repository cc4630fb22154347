"""All scenarios, played at the same time as far as they only wait: some take a minute."""

from collections.abc import Awaitable, Callable
from itertools import count

import trio

from tests.live.fault_table import LEARNT, ONCE, OUTAGES, is_long
from tests.live.faults import Played, Scenario, play
from tests.live.harness import Process, Server

AT_A_TIME = 6
"""Scenarios that are played at once, of those that do not take long."""
PAUSE_S = 4.0
"""Between two requests in an outage."""
_WITHIN_S = 100.0


class Run:
    """All scenarios, played; what went wrong in one is raised by the tests that look at it."""

    def __init__(self, server: Server, upstream: Process) -> None:
        self.server = server
        self.upstream = upstream
        self._played: dict[str, list[Played]] = {}
        self._errors: dict[str, Exception] = {}

    async def play_all(self) -> None:
        """Play them."""
        limit = trio.CapacityLimiter(AT_A_TIME)
        async with trio.open_nursery() as nursery:
            for scenario in OUTAGES:
                nursery.start_soon(self._guarded, self._outage, scenario)
            nursery.start_soon(self._guarded, self._twice, LEARNT)
            for scenario in sorted(ONCE, key=is_long, reverse=True):
                if is_long(scenario):
                    nursery.start_soon(self._guarded, self._once, scenario)
                else:
                    await limit.acquire_on_behalf_of(scenario.name)
                    nursery.start_soon(self._limited, scenario, limit)

    def __getitem__(self, name: str) -> Played:
        """The scenario that was asked once."""
        (played,) = self.all(name)
        return played

    def all(self, name: str) -> list[Played]:
        """The calls of a scenario, in order."""
        if name in self._errors:
            raise self._errors[name]
        return self._played[name]

    async def _limited(self, scenario: Scenario, limit: trio.CapacityLimiter) -> None:
        try:
            await self._guarded(self._once, scenario)
        finally:
            limit.release_on_behalf_of(scenario.name)

    async def _guarded(
        self, how: Callable[[Scenario], Awaitable[list[Played]]], scenario: Scenario
    ) -> None:
        try:
            with trio.fail_after(_WITHIN_S):
                self._played[scenario.name] = await how(scenario)
        except Exception as error:
            self._errors[scenario.name] = error

    async def _once(self, scenario: Scenario) -> list[Played]:
        return [await play(self.server, self.upstream, scenario)]

    async def _twice(self, scenario: Scenario) -> list[Played]:
        return [await play(self.server, self.upstream, scenario, take) for take in (1, 2)]

    async def _outage(self, scenario: Scenario) -> list[Played]:
        """A request every four seconds, until the primary has answered twice."""
        found: dict[int, Played] = {}

        async def ask(take: int) -> None:
            found[take] = await play(self.server, self.upstream, scenario, take)

        async with trio.open_nursery() as nursery:
            for take in count(1):
                nursery.start_soon(ask, take)
                await trio.sleep(PAUSE_S)
                if sum(was_answered_by_main(played) for played in found.values()) >= 2:
                    break
        return [found[take] for take in sorted(found)]


def was_answered_by_main(played: Played) -> bool:
    """Whether the primary gave the answer."""
    return played.turn["provider"] == "main"
