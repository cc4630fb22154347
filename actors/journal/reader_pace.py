"""Reader pace: detects readers that lag too far behind their turn and read too slowly.

A reader may be slower than production. But everything it has not read stays in memory, and so
does its turn, so beyond `Pace.lag_bytes` it must read at a minimum speed. The module does no I/O.
"""

from msgspec import Struct

HEAD_START = 128 * 1024
"""Bytes the kernel may buffer at once; ignored when measuring the speed of a reader."""


class Pace(Struct, frozen=True):
    """The minimum reading speed and the lag from which it applies."""

    lag_bytes: int
    """Lag in bytes that is allowed at any speed."""
    bytes_per_s: float
    """Minimum speed of a reader beyond that lag."""


class ReaderTooSlow(Exception):
    """Raised to drop a reader that is too slow; its turn treats that as a disconnect."""


class SlowReader:
    """A reader tracked for as long as it exceeds the lag limit."""

    __slots__ = ("_at", "_credit", "_rate", "_taken")

    def __init__(self, pace: Pace, now: float, taken: int) -> None:
        """Start tracking at `now` (seconds of any clock), after `taken` bytes have been read."""
        self._rate = pace.bytes_per_s
        self._credit: float = HEAD_START
        self._at = now
        self._taken = taken

    def is_too_slow(self, now: float, taken: int) -> bool:
        """Return True if the credit is used up: bytes read add to it, elapsed time reduces it.

        Credit never exceeds the head start, so an earlier fast phase doesn't excuse a later pause.
        """
        cost = (now - self._at) * self._rate
        self._credit = min(HEAD_START, self._credit + (taken - self._taken)) - cost
        self._at = now
        self._taken = taken
        return self._credit < 0
