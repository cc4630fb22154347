"""Retry policy: decides what a step does first, and after each skipped route or failed attempt.

The table is reproduced in `docs/reference/retries.md`. Retries have three limits: the table row,
the number of attempts per route and in total, and the turn's time budget. The turn's cancel scope
enforces the budget; this module only avoids a wait that would exceed it. The module does no I/O.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from msgspec import Struct

from actors.attempts.client_errors import not_continued, nothing_asked
from actors.continuation.interruption import Interruption
from actors.routing.route_board import RouteChoice
from actors.turn.failure_class import FailureClass, failure_class_of
from actors.turn.model_call import FailureKind, UpstreamFailure
from actors.turn.request import PlannedRoute
from actors.turn.step import Step

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
    sole_retries: int = 0
    """Number of retries on the same route if no other route is left, before content only."""


TABLE: dict[FailureClass, Rule] = {
    FailureClass.CONNECTION: Rule(retries=1),
    FailureClass.RATE_LIMITED: Rule(retries=2, pause=Pause.BACKOFF),
    FailureClass.SERVER_ERROR: Rule(retries=1, pause=Pause.BRIEF),
    FailureClass.BROKEN: Rule(pause=Pause.BRIEF, sole_retries=2),
    FailureClass.CONTEXT_LENGTH: Rule(then=Then.LARGER),
    FailureClass.CONTENT_FILTER: Rule(then=Then.STOP),
    FailureClass.REJECTED: Rule(then=Then.STOP),
}
"""Rules by failure class; after all others, the next route is tried at once."""

_FAULTS = frozenset(
    {FailureClass.CONNECTION, FailureClass.SERVER_ERROR, FailureClass.TIMEOUT, FailureClass.BROKEN}
)
"""Failure classes that count against the health of a route."""


class Blame(Enum):
    """The thing that a failure counts against, for later turns."""

    ROUTE = auto()
    PREFILL = auto()
    """The route refused to continue a trailing assistant message."""


class Try(Struct, frozen=True):
    """The action to try a route, after a wait."""

    planned: PlannedRoute
    wait_s: float = 0.0


class GiveUp(Struct, frozen=True):
    """The action to end the step with a failure, as no route is left."""

    failure: UpstreamFailure


Action = Try | GiveUp


@dataclass(slots=True, eq=False)
class Failover:
    """The decisions of one step: each method takes a fact and returns the next action."""

    interruption: Interruption
    _step: Step
    _jitter: Jitter
    _routes: list[PlannedRoute] = field(default_factory=list)
    """Routes that are left; the first one is tried."""
    _failures: list[FailureClass] = field(default_factory=list)
    """Failures on the current route."""
    _attempts_on_route: int = 0
    _attempts: int = 0
    last: UpstreamFailure | None = None
    """Last failure, or None."""

    def begin(self, choice: RouteChoice) -> Action:
        """Begin with the first of the chosen routes."""
        self._routes = list(choice.open)
        return self._next_action(retry_in_s=choice.retry_in_s)

    def skipped(self, retry_in_s: float | None) -> Action:
        """Continue with the next route, because the current one is not available now.

        `retry_in_s` is the time until a skipped route may be called, or None if that is unknown.
        """
        self._next_route()
        return self._next_action(retry_in_s=retry_in_s)

    def failed(self, failure: UpstreamFailure, left_s: float) -> Action:
        """Continue after a failed attempt; `left_s` is the rest of the turn's time budget."""
        self.last = failure
        self._attempts_on_route += 1
        self._attempts += 1
        if not self.interruption.may_retry(failure):
            self._routes.clear()
        elif self.interruption.prefill_refused(failure):
            # The next call to the route differs from the last one.
            self._failures.clear()
        else:
            return self._next_action(self._choose_after(failure, left_s))
        return self._next_action()

    def blame(self, failure: UpstreamFailure) -> Blame | None:
        """Return what the failure of the current attempt counts against. Call before `failed`."""
        if failure_class_of(failure) in _FAULTS:
            return Blame.ROUTE
        return Blame.PREFILL if self.interruption.prefill_refused(failure) else None

    def _next_action(self, wait_s: float = 0.0, retry_in_s: float | None = None) -> Action:
        if self._routes and self._attempts < MAX_ATTEMPTS:
            return Try(self._routes[0], wait_s)
        if self.last is None:
            return GiveUp(nothing_asked(self._step.skipped(), retry_in_s))
        first = self.interruption.failure
        restarted = not self.interruption.seen and self.last.kind is not FailureKind.REJECTED
        if first is None or restarted:
            return GiveUp(self.last)
        return GiveUp(not_continued(first, self.last))

    def _choose_after(self, failure: UpstreamFailure, left_s: float) -> float:
        """Choose the next route and return the seconds to wait before it is tried."""
        self._failures.append(failure_class_of(failure))
        rule = TABLE.get(self._failures[-1], Rule())
        if self._may_repeat(rule, failure):
            pause_s = self._pause(rule, failure)
            if pause_s < left_s:
                return pause_s
        match rule.then:
            # After shown text, a rejection refers to the continuation, not to the client's call.
            case Then.STOP if not self.interruption.seen:
                self._routes.clear()
            case Then.LARGER:
                self._drop_smaller()
            case _:
                self._next_route()
        return 0.0

    def _may_repeat(self, rule: Rule, failure: UpstreamFailure) -> bool:
        if self._attempts_on_route >= MAX_ATTEMPTS_PER_ROUTE:
            return False
        if failure.another_key:
            return True
        if (failure.retry_after_s or 0.0) > MAX_RETRY_AFTER_S:
            return False
        sole = len(self._routes) == 1 and not self.interruption.seen
        retries = max(rule.retries, rule.sole_retries) if sole else rule.retries
        return self._failures.count(self._failures[-1]) <= retries

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

    def _next_route(self) -> None:
        del self._routes[:1]
        self._failures.clear()
        self._attempts_on_route = 0

    def _drop_smaller(self) -> None:
        """Keep only routes whose context window may be larger than the current one's."""
        failed = self._routes[0]
        self._next_route()
        self._routes = [one for one in self._routes if _may_be_larger(one, failed)]


def _may_be_larger(route: PlannedRoute, than: PlannedRoute) -> bool:
    mine, others = route.capabilities.context_window, than.capabilities.context_window
    if mine is None or others is None:
        # If a window is unknown, only the same model is certain not to have a larger one.
        return route.route.upstream_model != than.route.upstream_model
    return mine > others
