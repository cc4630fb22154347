"""Retry policy: decides what follows a failed attempt.

The table is reproduced in `docs/reference/retries.md`. Retries have three limits: the table row,
the number of attempts per route and in total, and the turn's time budget. The turn's cancel scope
enforces the budget; this module only avoids a wait that would exceed it. The module does no I/O.
"""

import math
from collections.abc import Callable, Sequence
from enum import Enum, auto

from msgspec import Struct

from actors.turn.failure_class import FailureClass, failure_class_of
from actors.turn.model_call import UpstreamFailure
from actors.turn.request import PlannedRoute

MAX_ATTEMPTS_PER_ROUTE = 3
MAX_ATTEMPTS = 6
MAX_RETRY_AFTER_S = 5.0
"""Longest `Retry-After` in seconds that is waited for; a longer one means the next route."""
_BRIEF_S = 0.2
"""Mean wait in seconds before a retry after a server error."""
_BACKOFF_S = 0.5
"""Mean wait in seconds before the first retry without `Retry-After`; doubled each time."""

Jitter = Callable[[], float]
"""Function that returns a random number from 0 to 1."""


class Pause(Enum):
    """The kind of wait before a retry on the same route."""

    NONE = auto()
    BRIEF = auto()
    BACKOFF = auto()


class Then(Enum):
    """The next action once the same route must not be retried."""

    NEXT = auto()
    """Try the next route."""
    LARGER = auto()
    """Try the next route whose context window may be larger."""
    STOP = auto()
    """Try no other route."""


class Rule(Struct, frozen=True):
    """A row of the retry table."""

    retries: int = 0
    """Number of retries on the same route."""
    pause: Pause = Pause.NONE
    then: Then = Then.NEXT


TABLE: dict[FailureClass, Rule] = {
    FailureClass.CONNECTION: Rule(retries=1),
    FailureClass.RATE_LIMITED: Rule(retries=2, pause=Pause.BACKOFF),
    FailureClass.SERVER_ERROR: Rule(retries=1, pause=Pause.BRIEF),
    FailureClass.TIMEOUT: Rule(),
    FailureClass.CONTEXT_LENGTH: Rule(then=Then.LARGER),
    FailureClass.CONTENT_FILTER: Rule(then=Then.STOP),
    FailureClass.CREDENTIALS: Rule(),
    FailureClass.UNPAID: Rule(),
    FailureClass.ERRED: Rule(),
    FailureClass.REJECTED: Rule(then=Then.STOP),
    FailureClass.BROKEN: Rule(),
    FailureClass.MISFIT: Rule(),
    FailureClass.BUSY: Rule(),
}


class Retries:
    """The progress of one step through its routes."""

    def __init__(self, routes: Sequence[PlannedRoute], jitter: Jitter) -> None:
        self._routes = list(routes)
        self._jitter = jitter
        self._failures: list[FailureClass] = []
        """Failures on the current route."""
        self._attempts_on_route = 0
        self._attempts = 0

    @property
    def route(self) -> PlannedRoute | None:
        """Route of the next attempt, or None if there is none."""
        return self._routes[0] if self._routes and self._attempts < MAX_ATTEMPTS else None

    def attempt_started(self) -> None:
        """Count an attempt on `route`."""
        self._attempts_on_route += 1
        self._attempts += 1

    def skip_route(self) -> None:
        """Move to the next route, because `route` is not available now."""
        self._next()

    def after(
        self, failure: UpstreamFailure, *, continuing: bool = False, left_s: float = math.inf
    ) -> float:
        """Choose the next `route` and return the seconds to wait before it is tried.

        `continuing` means that the client has already seen text. A rejection then refers to the
        continuation request and not to the client's own, so later routes are still tried.
        `left_s` is the rest of the turn's time budget.
        """
        failure_class = failure_class_of(failure)
        rule = TABLE[failure_class]
        self._failures.append(failure_class)
        if self._may_repeat(failure_class, rule, failure):
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

    def no_other_key(self, failure: UpstreamFailure) -> bool:
        """Return True if no other API key of the current route is tried after this refusal."""
        return not failure.another_key or self._attempts_on_route >= MAX_ATTEMPTS_PER_ROUTE

    def retry_without_prefill(self) -> None:
        """Keep the current route and forget its failures: the next call differs from the last."""
        self._failures.clear()

    def _may_repeat(
        self, failure_class: FailureClass, rule: Rule, failure: UpstreamFailure
    ) -> bool:
        if self._attempts_on_route >= MAX_ATTEMPTS_PER_ROUTE:
            return False
        if failure.another_key:
            return True
        if (failure.retry_after_s or 0.0) > MAX_RETRY_AFTER_S:
            return False
        return self._failures.count(failure_class) <= rule.retries

    def _pause(self, rule: Rule, failure: UpstreamFailure) -> float:
        if failure.another_key or rule.pause is Pause.NONE:
            return 0.0
        if failure.retry_after_s is not None:
            # Never earlier than requested; the jitter keeps turns from retrying at the same moment.
            return failure.retry_after_s * (1.0 + 0.1 * self._jitter())
        if rule.pause is Pause.BRIEF:
            return _BRIEF_S * (0.5 + self._jitter())
        doubled = 2.0 ** (len(self._failures) - 1)
        return _BACKOFF_S * doubled * (0.75 + 0.5 * self._jitter())

    def _next(self) -> None:
        del self._routes[:1]
        self._failures.clear()
        self._attempts_on_route = 0

    def _drop_smaller(self) -> None:
        """Keep only routes whose context window may be larger than the current one's."""
        failed = self._routes[0]
        self._next()
        self._routes = [one for one in self._routes if _may_be_larger(one, failed)]


def _may_be_larger(route: PlannedRoute, than: PlannedRoute) -> bool:
    mine, others = route.capabilities.context_window, than.capabilities.context_window
    if mine is None or others is None:
        # If a window is unknown, only the same model is certain not to have a larger one.
        return route.route.upstream_model != than.route.upstream_model
    return mine > others
