"""Outcome window: counts the calls of a route that succeeded and failed lately, without I/O.

A call is everything that one step asks of the route, retries included. Times are seconds of any
monotonic clock, passed in as `now`.
"""

from msgspec import Raw, Struct
from msgspec.structs import astuple

_SLICES = 10
"""Number of slices of the window in which successes are counted together."""


class OutcomeWindow:
    """The outcomes of one route's calls within the last `window_s` seconds.

    Failures of identical calls count once, because they say more about the call than about the
    route. Successes are exact to a tenth of the window.
    """

    __slots__ = ("_failed_at", "_in_a_row", "_slice_s", "_succeeded", "_window_s")

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._slice_s = window_s / _SLICES
        self._failed_at: dict[object, float] = {}
        """Times of the failures by call, in order."""
        self._succeeded: dict[int, int] = {}
        """Number of successes by slice of the clock, in order."""
        self._in_a_row = 0
        """Number of failures since the last success, whatever their age."""

    def succeed(self, now: float) -> None:
        """Count a success."""
        self._forget(now)
        number = int(now / self._slice_s)
        self._succeeded[number] = self._succeeded.get(number, 0) + 1
        self._in_a_row = 0

    def retract(self, at: float) -> None:
        """Take back a success that was counted at the time `at`."""
        number = int(at / self._slice_s)
        if number in self._succeeded:
            self._succeeded[number] -= 1

    def fail(self, now: float, call: int | None) -> bool:
        """Count a failure; return False if the window has one of an identical call.

        `call` is its `call_fingerprint`, or None for a call that was never sent and therefore
        cannot be the cause.
        """
        self._forget(now)
        key: object = object() if call is None else call
        if key in self._failed_at:
            return False
        self._failed_at[key] = now
        self._in_a_row += 1
        return True

    def failures(self, now: float) -> int:
        """Return the number of different calls that failed."""
        self._forget(now)
        return len(self._failed_at)

    def calls(self, now: float) -> int:
        """Return the number of calls that succeeded or failed."""
        return self.failures(now) + sum(self._succeeded.values())

    def failures_in_a_row(self, now: float) -> int:
        """Return the number of failures since the last success."""
        return min(self._in_a_row, self.failures(now))

    def clear(self) -> None:
        """Forget all outcomes."""
        self._failed_at.clear()
        self._succeeded.clear()
        self._in_a_row = 0

    def _forget(self, now: float) -> None:
        since = now - self._window_s
        while self._failed_at and next(iter(self._failed_at.values())) <= since:
            del self._failed_at[next(iter(self._failed_at))]
        oldest = int(since / self._slice_s)
        while self._succeeded and next(iter(self._succeeded)) <= oldest:
            del self._succeeded[next(iter(self._succeeded))]


def call_fingerprint(call: object) -> int:
    """Return a number that is the same for identical calls, and otherwise almost never.

    It is valid within this process. A string is hashed without being copied.
    """
    # Iterative: clients choose the nesting depth. The lengths keep different nestings apart.
    found: list[object] = []
    pending: list[object] = [call]
    while pending:
        value = pending.pop()
        if isinstance(value, Struct):
            value = (type(value).__name__, *astuple(value))
        elif isinstance(value, dict):
            value = (*value.keys(), *value.values())
        if isinstance(value, list | tuple):
            found.append((None, len(value)))
            pending += value
        elif isinstance(value, Raw):
            found.append(("raw", bytes(value)))
        else:
            found.append((type(value).__name__, value))
    return hash(tuple(found))
