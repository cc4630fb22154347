"""The retry table: where the next attempt goes after one has failed. Pure.

Source: "The retry table" of the design, reproduced in `docs/reference/retries.md`. Bounded three
ways: by what its row allows, by attempts on one route and in all, and by the turn's time budget:
what outlasts it is ended elsewhere, but no wait that would is begun.
"""

import math
from collections.abc import Callable, Sequence
from enum import Enum, auto

from msgspec import Struct

from actors.providers.base import UpstreamFailure
from actors.trouble import Trouble, trouble_of
from actors.turn import PlannedRoute

MOST_ON_ONE_ROUTE = 3
MOST_IN_ALL = 6
LONGEST_WAIT_S = 5.0
"""A `Retry-After` up to this is waited for; a longer one means the next route."""
_BRIEF_S = 0.2
"""Before a provider that failed inside is asked again."""
_BACKOFF_S = 0.5
"""Before a provider that did not say how long is asked again; doubled each time."""

Jitter = Callable[[], float]
"""A random number from 0 to 1."""


class Pause(Enum):
    """How long to wait before the same route is asked again."""

    NONE = auto()
    BRIEF = auto()
    BACKOFF = auto()


class Then(Enum):
    """What to do when the same route is not to be asked again."""

    NEXT = auto()
    LARGER = auto()
    """The next route whose context window may be larger."""
    STOP = auto()


class Rule(Struct, frozen=True):
    """One row of the table."""

    again: int = 0
    """How often the same route is asked again."""
    pause: Pause = Pause.NONE
    then: Then = Then.NEXT


TABLE: dict[Trouble, Rule] = {
    Trouble.CONNECTION: Rule(again=1),
    Trouble.RATE_LIMITED: Rule(again=2, pause=Pause.BACKOFF),
    Trouble.SERVER_ERROR: Rule(again=1, pause=Pause.BRIEF),
    Trouble.TIMEOUT: Rule(),
    Trouble.CONTEXT_LENGTH: Rule(then=Then.LARGER),
    Trouble.CONTENT_FILTER: Rule(then=Then.STOP),
    Trouble.CREDENTIALS: Rule(),
    Trouble.UNPAID: Rule(),
    Trouble.ERRED: Rule(),
    Trouble.REJECTED: Rule(then=Then.STOP),
    Trouble.BROKEN: Rule(),
    Trouble.MISFIT: Rule(),
    Trouble.BUSY: Rule(),
}


class Retries:
    """One step's way through its routes."""

    def __init__(self, routes: Sequence[PlannedRoute], jitter: Jitter) -> None:
        self._routes = list(routes)
        self._jitter = jitter
        self._failures: list[Trouble] = []
        """Of the present route."""
        self._on_route = 0
        self._in_all = 0

    @property
    def route(self) -> PlannedRoute | None:
        """Where the next attempt goes; None where there is none."""
        return self._routes[0] if self._routes and self._in_all < MOST_IN_ALL else None

    def begun(self) -> None:
        """An attempt on `route` is under way."""
        self._on_route += 1
        self._in_all += 1

    def passed_over(self) -> None:
        """`route` cannot be asked now: the next one."""
        self._next()

    def after(
        self, failure: UpstreamFailure, *, continuing: bool = False, left_s: float = math.inf
    ) -> float:
        """Choose the next `route`; returns the seconds to wait before it is asked.

        `continuing`: the client has seen text already, so that what a route says about the
        continuation is no answer to the client, and the routes after it are tried all the same.
        `left_s`: what is left of the turn's time budget.
        """
        trouble = trouble_of(failure)
        rule = TABLE[trouble]
        self._failures.append(trouble)
        if self._may_repeat(trouble, rule, failure):
            pause_s = self._pause(rule, failure)
            if pause_s < left_s:
                return pause_s
        match rule.then:
            case Then.STOP if not continuing:
                self._routes.clear()
            case Then.LARGER:
                self._drop_smaller()
            case _:
                self._next()
        return 0.0

    def leaves(self, failure: UpstreamFailure) -> bool:
        """Whether no other key of the present route will be tried after this refusal."""
        return not failure.another_key or self._on_route >= MOST_ON_ONE_ROUTE

    def again(self) -> None:
        """The same route is to be asked in another way."""
        self._failures.clear()

    def _may_repeat(self, trouble: Trouble, rule: Rule, failure: UpstreamFailure) -> bool:
        if self._on_route >= MOST_ON_ONE_ROUTE:
            return False
        if failure.another_key:
            return True
        if (failure.retry_after_s or 0.0) > LONGEST_WAIT_S:
            return False
        return self._failures.count(trouble) <= rule.again

    def _pause(self, rule: Rule, failure: UpstreamFailure) -> float:
        if failure.another_key or rule.pause is Pause.NONE:
            return 0.0
        if failure.retry_after_s is not None:
            # Never earlier than told, and not all at the same moment.
            return failure.retry_after_s * (1.0 + 0.1 * self._jitter())
        if rule.pause is Pause.BRIEF:
            return _BRIEF_S * (0.5 + self._jitter())
        doubled = 2.0 ** (len(self._failures) - 1)
        return _BACKOFF_S * doubled * (0.75 + 0.5 * self._jitter())

    def _next(self) -> None:
        del self._routes[:1]
        self._failures.clear()
        self._on_route = 0

    def _drop_smaller(self) -> None:
        """Keep the routes that may have room where the present one had none."""
        failed = self._routes[0]
        self._next()
        self._routes = [one for one in self._routes if _may_be_larger(one, failed)]


def _may_be_larger(route: PlannedRoute, than: PlannedRoute) -> bool:
    mine, others = route.capabilities.context_window, than.capabilities.context_window
    if mine is None or others is None:
        return route.route.upstream_model != than.route.upstream_model
    return mine > others
