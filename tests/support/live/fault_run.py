"""Runs all fault scenarios, concurrently as far as they only wait: some take a minute."""

from collections.abc import Awaitable, Callable
from itertools import count

import trio

from tests.support.live.fault_scenarios import Scenario, ScenarioResult, run_scenario
from tests.support.live.fault_table import OUTAGES, REFUSAL_REMEMBERED, SINGLE_REQUEST, is_slow
from tests.support.live.harness import Process, Server

MAX_CONCURRENT = 6
"""Limit of concurrent scenarios, not counting the slow ones, which mostly wait."""
PAUSE_S = 4.0
"""Seconds between two requests during an outage."""
_TIMEOUT_S = 120.0
"""Limit for one scenario: a minute of outage, half a minute until its end is noticed, and slack."""


class ScenarioRun:
    """Results of all scenarios; the error of a scenario is raised on access to its result."""

    def __init__(self, server: Server, upstream: Process) -> None:
        self.server = server
        self.upstream = upstream
        self._results: dict[str, list[ScenarioResult]] = {}
        self._errors: dict[str, Exception] = {}

    async def run_all(self) -> None:
        """Run all scenarios."""
        limit = trio.CapacityLimiter(MAX_CONCURRENT)
        async with trio.open_nursery() as nursery:
            for scenario in OUTAGES:
                nursery.start_soon(self._keep_error, self._outage, scenario)
            nursery.start_soon(self._keep_error, self._twice, REFUSAL_REMEMBERED)
            for scenario in sorted(SINGLE_REQUEST, key=is_slow, reverse=True):
                if is_slow(scenario):
                    nursery.start_soon(self._keep_error, self._once, scenario)
                else:
                    await limit.acquire_on_behalf_of(scenario.name)
                    nursery.start_soon(self._limited, scenario, limit)

    def __getitem__(self, name: str) -> ScenarioResult:
        """Return the result of a scenario that was requested once."""
        (result,) = self.all(name)
        return result

    def all(self, name: str) -> list[ScenarioResult]:
        """Return the results of a scenario's calls, in order."""
        if name in self._errors:
            raise self._errors[name]
        return self._results[name]

    async def _limited(self, scenario: Scenario, limit: trio.CapacityLimiter) -> None:
        try:
            await self._keep_error(self._once, scenario)
        finally:
            limit.release_on_behalf_of(scenario.name)

    async def _keep_error(
        self, method: Callable[[Scenario], Awaitable[list[ScenarioResult]]], scenario: Scenario
    ) -> None:
        try:
            with trio.fail_after(_TIMEOUT_S):
                self._results[scenario.name] = await method(scenario)
        except Exception as error:
            self._errors[scenario.name] = error

    async def _once(self, scenario: Scenario) -> list[ScenarioResult]:
        return [await run_scenario(self.server, self.upstream, scenario)]

    async def _twice(self, scenario: Scenario) -> list[ScenarioResult]:
        return [
            await run_scenario(self.server, self.upstream, scenario, number) for number in (1, 2)
        ]

    async def _outage(self, scenario: Scenario) -> list[ScenarioResult]:
        """Send a request every `PAUSE_S` until the primary has answered twice."""
        found: dict[int, ScenarioResult] = {}

        async def ask(number: int) -> None:
            found[number] = await run_scenario(self.server, self.upstream, scenario, number)

        async with trio.open_nursery() as nursery:
            for number in count(1):
                nursery.start_soon(ask, number)
                await trio.sleep(PAUSE_S)
                if sum(answered_by_main(result) for result in found.values()) >= 2:
                    break
        return [found[number] for number in sorted(found)]


def answered_by_main(result: ScenarioResult) -> bool:
    """Return True if the primary gave the answer."""
    return result.turn["provider"] == "main"
