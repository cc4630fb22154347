"""Pool of idle connections: decides which one to reuse and which to close."""

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from msgspec import Struct

Origin = tuple[str, str, int]
"""Scheme, host and port."""


C = TypeVar("C")
"""Type of a connection, chosen by the caller."""


class _Idle(Struct, Generic[C], frozen=True):
    origin: Origin
    connection: C
    expires_at: float


class IdlePool(Generic[C]):
    """Idle connections. The most recently used is reused first, so that the rest can expire.

    At most `max_idle` are kept, each for `idle_s` seconds of `clock`. The others are given to
    `close`.
    """

    def __init__(
        self, max_idle: int, idle_s: float, clock: Callable[[], float], close: Callable[[C], None]
    ) -> None:
        self._max_idle = max_idle
        self._idle_s = idle_s
        self._clock = clock
        self._close = close
        self._idle: deque[_Idle[C]] = deque()

    def __len__(self) -> int:
        return len(self._idle)

    def put(self, origin: Origin, connection: C) -> None:
        """Keep a connection; close those that are too many, maybe this one."""
        self._idle.append(_Idle(origin, connection, self._clock() + self._idle_s))
        self._close_expired()
        while len(self._idle) > self._max_idle:
            self._close(self._idle.popleft().connection)

    def take(self, origin: Origin) -> C | None:
        """Remove and return the connection to `origin` that was put last, or None."""
        self._close_expired()
        # Newest first: the oldest connections then expire instead of being kept alive in turn.
        for index in range(len(self._idle) - 1, -1, -1):
            idle = self._idle[index]
            if idle.origin == origin:
                del self._idle[index]
                return idle.connection
        return None

    def clear(self) -> None:
        """Remove all connections without closing them."""
        self._idle.clear()

    def _close_expired(self) -> None:
        now = self._clock()
        while self._idle and self._idle[0].expires_at <= now:
            self._close(self._idle.popleft().connection)
