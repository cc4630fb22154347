"""When a reader that lags is too slow to be kept. Pure.

A reader may be slower than its turn: production runs ahead of it. But what it has not read stays
in memory, and so does its turn. So from `Pace.lag_bytes` on it has to read with some speed.
"""

from msgspec import Struct

HEAD_START = 128 * 1024
"""Bytes: what a kernel takes at a time, which must not look like speed nor its lack like sloth."""


class Pace(Struct, frozen=True):
    """What is asked of a reader."""

    lag_bytes: int
    """So far it may lag behind its turn at any speed."""
    bytes_per_s: float
    """Behind that it has to read as fast as this."""


class ReaderTooSlow(Exception):
    """The reader has lost its subscription; for its turn that is a disconnect."""


class Laggard:
    """One reader from when it lags too far until it does no longer."""

    __slots__ = ("_at", "_credit", "_rate", "_taken")

    def __init__(self, pace: Pace, now: float, taken: int) -> None:
        """It has taken `taken` bytes in all at the time `now`, in seconds of any clock."""
        self._rate = pace.bytes_per_s
        self._credit: float = HEAD_START
        self._at = now
        self._taken = taken

    def is_too_slow(self, now: float, taken: int) -> bool:
        """Whether it has used up its credit: bytes taken are earned, the passing time costs.

        Credit does not grow beyond the head start: having been quick once buys no rest.
        """
        cost = (now - self._at) * self._rate
        self._credit = min(HEAD_START, self._credit + (taken - self._taken)) - cost
        self._at = now
        self._taken = taken
        return self._credit < 0
