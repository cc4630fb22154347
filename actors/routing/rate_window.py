"""Rate window: counts a provider's requests and tokens of the last minute, without I/O.

The counts only order the routes; they never block a request. Times are seconds of any monotonic
clock, passed in as `now`.
"""

from collections import deque

from msgspec import Struct

WINDOW_S = 60
HOT = 0.9
"""Share of a limit from which other routes are preferred."""


class RateUsage(Struct, frozen=True):
    """Requests and tokens of a provider within the last 60 seconds."""

    requests: int
    tokens: int


class _Second(Struct):
    """Counts of one second of the clock."""

    number: int
    requests: int = 0
    tokens: int = 0


class RateWindow:
    """Counter of one provider's requests and tokens in a sliding window of one-second steps.

    The limits are those of any 60 seconds; None means unlimited.
    """

    __slots__ = ("_most_requests", "_most_tokens", "_requests", "_seconds", "_tokens")

    def __init__(self, requests: int | None, tokens: int | None) -> None:
        self._most_requests = requests
        self._most_tokens = tokens
        self._seconds: deque[_Second] = deque()
        self._requests = 0
        self._tokens = 0

    def note_request(self, now: float) -> None:
        """Count one request."""
        self._second(now).requests += 1
        self._requests += 1

    def note_tokens(self, now: float, tokens: int) -> None:
        """Count `tokens`, of a prompt or an answer."""
        self._second(now).tokens += tokens
        self._tokens += tokens

    def usage(self, now: float) -> RateUsage:
        """Return the sums over the 60 clock seconds that end with the second of `now`."""
        self._forget(int(now))
        return RateUsage(self._requests, self._tokens)

    def hot(self, now: float) -> bool:
        """Return True if at least 90 % of a limit is used."""
        used = self.usage(now)
        return _near(used.requests, self._most_requests) or _near(used.tokens, self._most_tokens)

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
