"""When a route may be asked: a circuit breaker. Pure.

    closed ──failures──▶ open ──cooldown──▶ half-open ──first content of a probe──▶ closed
                           ▲                    │
                           └── the probe fails ─┘

Times are seconds of any clock that never goes back, passed in as `now`.
"""

import math
from collections import deque
from typing import Literal, Self

from msgspec import Struct

CREDIT_COOLDOWN_S = 3600.0
"""An hour after a refused key or an empty account is asked about again: somebody has to pay."""

State = Literal["closed", "open", "half_open"]
OpenReason = Literal["failures", "credit", "operator"]


class BreakerSettings(Struct, frozen=True, kw_only=True):
    """When a breaker opens, and for how long."""

    failures: int = 3
    """So many failures within `window_s` open it; at least 1."""
    window_s: float = 60.0
    cooldown_s: float = 60.0
    """How long it stays open at first; doubled by each probe that fails."""
    cooldown_max_s: float = 900.0


class BreakerStatus(Struct, frozen=True):
    """What a breaker looks like from outside."""

    state: State
    reason: OpenReason | None
    """Why it is not closed."""
    failures: int
    """Those within the window, as far as they count: never more than open it."""
    retry_in_s: float | None
    """When it may be asked again: 0 while half-open; None while closed, or until a reset."""


class Breaker:
    """The breaker of one route.

    An attempt asks for a `Permit` and tells it how it went. Only permits of the present era count:
    opening, closing and resetting begin a new one, and what an older attempt has to say is about
    the time before.
    """

    __slots__ = ("_cooldown_s", "_era", "_failed_at", "_probing", "_reason", "_settings", "_until")

    def __init__(self, settings: BreakerSettings) -> None:
        self._settings = settings
        self._failed_at: deque[float] = deque(maxlen=settings.failures)
        self._reason: OpenReason | None = None
        self._until = 0.0
        self._cooldown_s = settings.cooldown_s
        """How long it stays open the next time."""
        self._probing = False
        self._era = 0

    def admits(self, now: float) -> bool:
        """Whether `admit` would give a permit."""
        return self._reason is None or (now >= self._until and not self._probing)

    def admit(self, now: float) -> "Permit | None":
        """Let an attempt begin; None where the route must not be asked now.

        Past the cooldown one attempt at a time is let through, as a probe.
        """
        if not self.admits(now):
            return None
        self._probing = self._reason is not None
        return Permit(self, self._era)

    def open(self, reason: OpenReason, now: float) -> None:
        """Let nobody through from now on; an operator's word stands until `reset`."""
        if self._reason == "operator":
            return
        self._reason = reason
        self._until = now + self._pause_s(reason)
        self._begin_era()

    def reset(self) -> None:
        """Close it and forget all that has happened."""
        self._reason = None
        self._failed_at.clear()
        self._cooldown_s = self._settings.cooldown_s
        self._begin_era()

    def status(self, now: float) -> BreakerStatus:
        """How it stands now."""
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

    def _left(self, era: int) -> None:
        if era == self._era:
            self._probing = False


class Permit:
    """Leave for one attempt. It ends with the first of `failed`, `refused` and `left`.

    `succeeded` says that content came, and may be followed by one of them: an answer that breaks
    off is a failure after all. Everything after the end changes nothing. As a context manager
    (`with`) it is left at the end of the block, so that a probe always gives its place back.
    """

    __slots__ = ("_breaker", "_era", "_over")

    def __init__(self, breaker: Breaker, era: int) -> None:
        self._breaker = breaker
        self._era = era
        self._over = False

    def succeeded(self, now: float) -> None:
        """The first content has come: that of a probe closes the breaker."""
        if not self._over:
            self._era = self._breaker._content(self._era)

    def failed(self, now: float) -> None:
        """The attempt failed, before or after its first content."""
        if self._end():
            self._breaker._failed(self._era, now)

    def refused(self, now: float) -> None:
        """The key or the account was refused: the breaker opens as `credit`."""
        if self._end():
            self._breaker._refused(self._era, now)

    def left(self) -> None:
        """The attempt is over and tells nothing more: its client left, or its answer is whole."""
        if self._end():
            self._breaker._left(self._era)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.left()

    def _end(self) -> bool:
        if self._over:
            return False
        self._over = True
        return True
