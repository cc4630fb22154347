"""Circuit breaker: decides when a route may be called, without I/O.

    closed ──failures──▶ open ──cooldown──▶ half-open ──first content of a probe──▶ closed
                           ▲                    │
                           └── the probe fails ─┘

Times are seconds of any monotonic clock, passed in as `now`.
"""

import math
from collections import deque
from typing import Literal, Self

from msgspec import Struct

CREDIT_COOLDOWN_S = 3600.0
"""Seconds until a refused key or an empty account is tried again: a person has to fix those."""

State = Literal["closed", "open", "half_open"]
OpenReason = Literal["failures", "credit", "operator"]


class BreakerSettings(Struct, frozen=True, kw_only=True):
    """Conditions for opening a breaker, and the time that it stays open."""

    failures: int = 3
    """Number of failures within `window_s` seconds that opens the breaker; at least 1."""
    window_s: float = 60.0
    cooldown_s: float = 60.0
    """Seconds that the breaker first stays open; each failed probe doubles them."""
    cooldown_max_s: float = 900.0


class BreakerStatus(Struct, frozen=True):
    """State of a breaker, for reports."""

    state: State
    reason: OpenReason | None
    """Reason why the breaker isn't closed, or None."""
    failures: int
    """Failures within the window, at most `BreakerSettings.failures`."""
    retry_in_s: float | None
    """Seconds until the next probe: 0 while half-open, None while closed or open until a reset."""


class Breaker:
    """The breaker of one route.

    An attempt gets a `Permit` and reports its result to it. Only permits of the current era count:
    opening, closing and resetting begin a new era, and the result of an older attempt says nothing
    about it.
    """

    __slots__ = ("_cooldown_s", "_era", "_failed_at", "_probing", "_reason", "_settings", "_until")

    def __init__(self, settings: BreakerSettings) -> None:
        self._settings = settings
        self._failed_at: deque[float] = deque(maxlen=settings.failures)
        self._reason: OpenReason | None = None
        self._until = 0.0
        self._cooldown_s = settings.cooldown_s
        """Seconds that the breaker stays open the next time."""
        self._probing = False
        self._era = 0

    def admits(self, now: float) -> bool:
        """Return True if `admit` would give a permit."""
        return self._reason is None or (now >= self._until and not self._probing)

    def admit(self, now: float) -> "Permit | None":
        """Return a permit for an attempt, or None if the route must not be called now.

        After the cooldown one attempt at a time is admitted, as a probe.
        """
        if not self.admits(now):
            return None
        self._probing = self._reason is not None
        return Permit(self, self._era)

    def open(self, reason: OpenReason, now: float) -> None:
        """Open the breaker; if an operator opened it, it stays so until `reset`."""
        if self._reason == "operator":
            return
        self._reason = reason
        self._until = now + self._pause_s(reason)
        self._begin_era()

    def reset(self) -> None:
        """Close the breaker and clear its history."""
        self._reason = None
        self._failed_at.clear()
        self._cooldown_s = self._settings.cooldown_s
        self._begin_era()

    def status(self, now: float) -> BreakerStatus:
        """Return the state at `now`."""
        since = now - self._settings.window_s
        failures = sum(at > since for at in self._failed_at)
        if self._reason is None:
            return BreakerStatus("closed", None, failures, None)
        left = max(0.0, self._until - now)
        retry_in_s = None if math.isinf(left) else left
        return BreakerStatus("open" if left else "half_open", self._reason, failures, retry_in_s)

    def _pause_s(self, reason: OpenReason) -> float:
        if reason == "operator":
            return math.inf
        if reason == "credit":
            return CREDIT_COOLDOWN_S
        pause = self._cooldown_s
        self._cooldown_s = min(pause * 2, self._settings.cooldown_max_s)
        return pause

    def _begin_era(self) -> None:
        self._era += 1
        self._probing = False

    def _content(self, era: int) -> int:
        if era == self._era and self._reason is not None:
            self.reset()
            return self._era
        return era

    def _failed(self, era: int, now: float) -> None:
        if era != self._era:
            return
        self._failed_at.append(now)
        first = self._failed_at[0]
        many = len(self._failed_at) == self._settings.failures
        if self._reason is not None or (many and first > now - self._settings.window_s):
            self.open("failures", now)

    def _refused(self, era: int, now: float) -> None:
        if era == self._era:
            self.open("credit", now)

    def _released(self, era: int) -> None:
        if era == self._era:
            self._probing = False


class Permit:
    """Permission for one attempt, which ends with the first `failed`, `refused` or `release`.

    `succeeded` reports the first content, and one of the others may follow it: an answer that is
    interrupted counts as a failure. Calls after the end have no effect. As a context manager it is
    released at the end of the block, so that a cancelled probe doesn't block the next one.
    """

    __slots__ = ("_breaker", "_era", "_over")

    def __init__(self, breaker: Breaker, era: int) -> None:
        self._breaker = breaker
        self._era = era
        self._over = False

    def succeeded(self, now: float) -> None:
        """Report the first content of the answer; on a probe this closes the breaker."""
        if not self._over:
            self._era = self._breaker._content(self._era)

    def failed(self, now: float) -> None:
        """Report that the attempt failed, before or after its first content."""
        if self._end():
            self._breaker._failed(self._era, now)

    def refused(self, now: float) -> None:
        """Report that the key or the account was refused; this opens the breaker as `credit`."""
        if self._end():
            self._breaker._refused(self._era, now)

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
        return True
