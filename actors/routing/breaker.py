"""Circuit breaker: decides when a route may be called, without I/O.

    closed ──share of failures──▶ open ──cooldown──▶ half-open ──first content of a probe──▶ closed
                                   ▲                     │
                                   └── the probe fails ──┘

docs/explanation/breakers.md gives the reasons for the rules. Times are seconds of any monotonic
clock, passed in as `now`.
"""

import math
from collections.abc import Callable
from itertools import takewhile
from typing import Literal, Self

from msgspec import Struct

from actors.routing.outcome_window import OutcomeWindow

PROBE_EVERY_S = 1.0
"""Minimum seconds between two probes of a route."""

_ROW = 4
"""Multiple of `minimum_requests` that opens the breaker if as many calls fail in a row."""

State = Literal["closed", "open", "half_open"]
OpenReason = Literal["failures", "credit", "operator"]


class BreakerSettings(Struct, frozen=True, kw_only=True):
    """Conditions for opening a breaker, and the time that it stays open."""

    failure_share: float = 0.5
    """Share of the calls within `window_s` seconds whose failure opens the breaker."""
    minimum_requests: int = 5
    """Number of calls below which the share says nothing; at least 1."""
    window_s: float = 30.0
    cooldown_s: float = 5.0
    """Seconds that the breaker first stays open; each failed probe doubles them."""
    cooldown_max_s: float = 20.0


class BreakerStatus(Struct, frozen=True):
    """State of a breaker, for reports."""

    state: State
    reason: OpenReason | None
    """Reason why the breaker isn't closed, or None. `credit` refers to the provider's keys."""
    failures: int
    """Calls that failed within the window; identical ones count once."""
    calls: int
    """Calls that succeeded or failed within the window."""
    retry_in_s: float | None
    """Seconds until the next probe: 0 while half-open, None while closed or open until a reset.

    It may come sooner, if all routes of a model are open."""


class Breaker:
    """The breaker of one route.

    An attempt gets a `Permit` and reports the outcome of its call to it. Only permits of the
    current era count: opening, closing and resetting begin a new era, and the outcome of an older
    call says nothing about it. `on_change` gets the status when calls open or close the breaker.
    """

    __slots__ = (
        *("_cooldown_s", "_era", "_on_change", "_outcomes", "_probe_at", "_probing"),
        *("_reason", "_running", "_settings", "_until"),
    )

    def __init__(
        self,
        settings: BreakerSettings,
        on_change: Callable[[BreakerStatus], None] = lambda status: None,
    ) -> None:
        self._settings = settings
        self._on_change = on_change
        self._outcomes = OutcomeWindow(settings.window_s)
        self._reason: Literal["failures", "operator"] | None = None
        self._until = 0.0
        self._cooldown_s = settings.cooldown_s
        """Seconds that the breaker stays open the next time."""
        self._probe_at = 0.0
        """Time before which no probe is admitted."""
        self._probing = False
        self._running: dict[Permit, None] = {}
        """Permits of this era without content or end, in the order in which they were given."""
        self._era = 0

    def admits(self, now: float, *, last_resort: bool = False) -> bool:
        """Return True if `admit` would give a permit."""
        if self._reason is None:
            return True
        if self._reason == "operator" or now < self._probe_at:
            return False
        return last_resort or (now >= self._until and not self._probing)

    def admit(self, now: float, *, last_resort: bool = False) -> "Permit | None":
        """Return a permit for an attempt, or None if the route must not be called now.

        After the cooldown one attempt at a time is admitted, as a probe. As a last resort, because
        no other route can be called, one is admitted each second without waiting for the cooldown
        or for the results of earlier ones.
        """
        if not self.admits(now, last_resort=last_resort):
            return None
        is_probe = self._reason is not None
        if is_probe:
            self._probing = True
            self._probe_at = now + PROBE_EVERY_S
            if last_resort:
                # Another route is due first the next time, in case this one doesn't answer at all.
                self._until = max(self._until, now + self._cooldown_s)
        permit = Permit(self, self._era, is_probe=is_probe)
        self._running[permit] = None
        return permit

    def last_resort_at(self) -> float:
        """Return the time from which `admit` gives a permit as a last resort."""
        return math.inf if self._reason == "operator" else self._probe_at

    def due_at(self) -> float:
        """Return the end of the cooldown."""
        return self._until

    def open_as_operator(self) -> None:
        """Open the breaker until `reset`."""
        self._reason = "operator"
        self._until = math.inf
        self._begin_era()

    def reset(self) -> None:
        """Close the breaker and clear its history."""
        self._reason = None
        self._outcomes.clear()
        self._cooldown_s = self._settings.cooldown_s
        self._begin_era()

    def status(self, now: float) -> BreakerStatus:
        """Return the state at `now`."""
        failures, calls = self._outcomes.failures(now), self._outcomes.calls(now)
        if self._reason is None:
            return BreakerStatus("closed", None, failures, calls, None)
        left = max(0.0, self._until - now)
        retry_in_s = None if math.isinf(left) else left
        state: State = "open" if left else "half_open"
        return BreakerStatus(state, self._reason, failures, calls, retry_in_s)

    def _open(self, now: float) -> None:
        was_closed, self._reason = self._reason is None, "failures"
        self._until = now + self._cooldown_s
        self._probe_at = now + PROBE_EVERY_S
        self._cooldown_s = min(self._cooldown_s * 2, self._settings.cooldown_max_s)
        self._begin_era()
        if was_closed:
            self._on_change(self.status(now))

    def _begin_era(self) -> None:
        self._era += 1
        self._probing = False
        self._running.clear()

    def _content(self, era: int, now: float) -> int:
        if era != self._era:
            return era
        if self._reason is not None:
            self.reset()
            self._on_change(self.status(now))
        self._outcomes.succeed(now)
        return self._era

    def _retract(self, era: int, succeeded_at: float | None) -> None:
        if era == self._era and succeeded_at is not None:
            self._outcomes.retract(succeeded_at)

    def _failed(self, permit: "Permit", now: float, call: int | None) -> None:
        if permit._era != self._era:
            return
        is_new = self._outcomes.fail(now, call)
        if self._reason is None:
            if self._fails_too_often(permit, now):
                self._open(now)
            return
        self._probing = False
        # A probe with a call that has failed before says nothing new about the route.
        if is_new and now >= self._until:
            self._open(now)

    def _fails_too_often(self, failed: "Permit", now: float) -> bool:
        minimum, share = self._settings.minimum_requests, self._settings.failure_share
        failures, calls = self._outcomes.failures(now), self._outcomes.calls(now)
        # On a busy route the share rises slowly: a route that goes down after a window full of
        # successes reaches 50 % only after half a window.
        row = self._outcomes.failures_in_a_row(now)
        if not (calls >= minimum and failures >= share * calls) and row < _ROW * minimum:
            return False
        # An error comes sooner than an answer: calls that began earlier may still succeed.
        older = sum(1 for _ in takewhile(lambda permit: permit is not failed, self._running))
        return failures >= share * (calls + older) or _ROW * minimum <= row >= older

    def _released(self, era: int) -> None:
        if era == self._era:
            self._probing = False


class Permit:
    """Permission for one attempt, which ends with the first `failed`, `retried` or `release`.

    `succeeded` reports the first content, and one of the others may follow it: an answer that is
    interrupted counts as a failure, instead of as a success. Calls after the end have no effect.
    As a context manager it is released at the end of the block, so that a cancelled probe doesn't
    block the next one.
    """

    __slots__ = ("_breaker", "_era", "_over", "_succeeded_at", "is_probe")

    def __init__(self, breaker: Breaker, era: int, *, is_probe: bool) -> None:
        self._breaker = breaker
        self._era = era
        self._over = False
        self._succeeded_at: float | None = None
        self.is_probe = is_probe
        """True if the breaker wasn't closed."""

    def succeeded(self, now: float) -> None:
        """Report the first content of the answer; on a probe this closes the breaker."""
        if not self._over and self._succeeded_at is None:
            self._era = self._breaker._content(self._era, now)
            self._succeeded_at = now
            self._breaker._running.pop(self, None)

    def failed(self, now: float, call: int | None) -> None:
        """Report that the call failed, before or after its first content.

        `call` is its fingerprint, or None if the request could not be sent.
        """
        if not self._over:
            self._breaker._retract(self._era, self._succeeded_at)
            self._breaker._failed(self, now, call)
            self._end()

    def retried(self) -> None:
        """End a failed attempt without an outcome: another attempt decides about its call."""
        if self._end():
            self._breaker._retract(self._era, self._succeeded_at)

    def release(self) -> None:
        """End the attempt without a failure: the client left, or the answer is complete."""
        if self._end():
            self._breaker._released(self._era)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _end(self) -> bool:
        if self._over:
            return False
        self._over = True
        self._breaker._running.pop(self, None)
        return True
