"""How much a provider has been asked for in the last minute, against what it allows. Pure.

Times are seconds of any clock that never goes back, passed in as `now`.
"""

from collections import deque

from msgspec import Struct

WINDOW_S = 60
HOT = 0.9
"""The part of a limit from which on other routes are better asked first."""


class CapacityLimits(Struct, frozen=True, kw_only=True):
    """What a provider allows within any 60 seconds; None where there is no limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


class CapacityUsage(Struct, frozen=True):
    """What was asked of a provider within the last 60 seconds."""

    requests: int
    tokens: int


class _Second:
    """What fell into one second of the clock."""

    __slots__ = ("number", "requests", "tokens")

    def __init__(self, number: int) -> None:
        self.number = number
        self.requests = 0
        self.tokens = 0


class Capacity:
    """Counts one provider's requests and tokens over a sliding window, second by second."""

    __slots__ = ("_limits", "_requests", "_seconds", "_tokens")

    def __init__(self, limits: CapacityLimits) -> None:
        self._limits = limits
        self._seconds: deque[_Second] = deque()
        self._requests = 0
        self._tokens = 0

    def note_request(self, now: float) -> None:
        """A request is sent."""
        self._second(now).requests += 1
        self._requests += 1

    def note_tokens(self, now: float, tokens: int) -> None:
        """So many tokens, of a prompt or an answer, were used."""
        self._second(now).tokens += tokens
        self._tokens += tokens

    def usage(self, now: float) -> CapacityUsage:
        """The sums over the 60 seconds of the clock of which `now` is in the last."""
        self._forget(int(now))
        return CapacityUsage(self._requests, self._tokens)

    def hot(self, now: float) -> bool:
        """Whether 90 % of a limit is used up."""
        used, limits = self.usage(now), self._limits
        return _near(used.requests, limits.requests_per_minute) or _near(
            used.tokens, limits.tokens_per_minute
        )

    def _second(self, now: float) -> _Second:
        number = int(now)
        self._forget(number)
        if not self._seconds or self._seconds[-1].number != number:
            self._seconds.append(_Second(number))
        return self._seconds[-1]

    def _forget(self, number: int) -> None:
        seconds = self._seconds
        while seconds and seconds[0].number <= number - WINDOW_S:
            gone = seconds.popleft()
            self._requests -= gone.requests
            self._tokens -= gone.tokens


def _near(used: int, limit: int | None) -> bool:
    return limit is not None and used >= HOT * limit
