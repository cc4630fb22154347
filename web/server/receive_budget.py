"""Budget for the bytes that all connections together are receiving. Pure.

A body or message counts from its first byte until it has been decoded, because until then it is
in memory. When the budget is full, the slowest one that is unfinished is refused, so that clients
that hold memory without making progress cannot exclude the others.
"""

import math
from collections.abc import Callable

from web.server.counters import Counters

LARGE = 256 * 1024
"""Bytes from which on a body counts as large."""
_LARGE_SHARE = 0.75
"""Share of the budget for large bodies; the rest lets small ones pass while it is used up."""
_RATE_S = 1.0
"""Time constant, in seconds, of the average that tells slow senders from fast ones."""

BYTES_PER_S = 8192.0
"""Speed of a client that may take longer than `body_s`."""
_LONGEST = 4.0
"""Maximum time to receive a body, as a multiple of `body_s`."""


def receive_time(body_s: float, received: int, bytes_per_s: float = BYTES_PER_S) -> float:
    """Return the seconds in which a body or message has to arrive, given its bytes so far.

    That is `body_s` plus the time for the bytes at a minimum speed, so trickling does not keep a
    request open. The sum is limited, so many bytes sent at once do not buy much time either.
    """
    return min(body_s + received / bytes_per_s, body_s * _LONGEST)


class Reception:
    """The bytes of one body, message or connection that are in memory before they are handled.

    `close` must be called at the end. Closed and refused receptions ignore further calls.
    """

    __slots__ = ("_at", "_budget", "_refuse", "_speed", "finished", "refused", "size")

    def __init__(self, budget: "ReceiveBudget", refuse: Callable[[], None]) -> None:
        self._budget = budget
        self._refuse = refuse
        self._speed = 0.0
        self._at = -math.inf
        self.size = 0
        self.finished = False
        """True if no more bytes are expected; it is then refused only if it grows."""
        self.refused = False

    def add(self, count: int) -> bool:
        """Count received bytes; return False if the reception is refused, now or already."""
        return self.resize(self.size + count)

    def resize(self, size: int) -> bool:
        """Set the number of bytes; return False if the reception is refused, now or already."""
        if self.refused:
            return False
        if size != self.size:
            now = self._budget.now()
            if size > self.size:
                self._speed = self.speed(now) + (size - self.size) / _RATE_S
                self._at = now
            self._budget.change(self, size, now)
        return not self.refused

    def speed(self, now: float) -> float:
        """Return the recent speed in bytes per second, an exponentially weighted average."""
        return self._speed * math.exp((self._at - now) / _RATE_S)

    def finish(self) -> None:
        """Mark as complete: the bytes still count, but make room for no others."""
        self.finished = True
        self._budget.forget(self)

    def close(self) -> None:
        """Return the bytes to the budget."""
        self.resize(0)
        self.refused = True
        self._refuse = _nothing  # it refers back to the owner

    def refuse(self) -> None:
        """Return the bytes to the budget and notify the owner, which has to drop them."""
        refuse = self._refuse
        self._budget.counters.receptions_refused += 1
        self.close()
        refuse()


class ReceiveBudget:
    """The number of bytes in all receptions, which never exceeds `limit`."""

    def __init__(self, limit: int, now: Callable[[], float], counters: Counters) -> None:
        self.now = now
        self.counters = counters
        self.used = 0
        self.used_by_large = 0
        self._limit = limit
        self._limit_of_large = int(limit * _LARGE_SHARE)
        self._unfinished: dict[bool, set[Reception]] = {True: set(), False: set()}
        """Unfinished receptions that are large, and others that have any bytes."""

    def open(self, refuse: Callable[[], None]) -> Reception:
        """Return a new reception. `refuse` is called if it has to be dropped."""
        return Reception(self, refuse)

    def change(self, reception: Reception, size: int, now: float) -> None:
        """Change a reception's size, after refusing others, or itself, until there is room."""
        self._count(-reception.size, large=reception.size > LARGE)
        self.forget(reception)
        reception.size = 0
        while not self._has_room(size):
            victim = self._slowest(reception, size, now)
            if victim is reception:
                reception.refuse()
                return
            victim.refuse()
        reception.size = size
        self._count(size, large=size > LARGE)
        if size and not reception.finished:
            self._unfinished[size > LARGE].add(reception)

    def forget(self, reception: Reception) -> None:
        """Exclude a reception from those that can be refused in favour of others."""
        for unfinished in self._unfinished.values():
            unfinished.discard(reception)

    def _count(self, size: int, *, large: bool) -> None:
        self.used += size
        self.used_by_large += size if large else 0

    def _has_room(self, size: int) -> bool:
        large = size if size > LARGE else 0
        return self.used + size <= self._limit and (
            not large or self.used_by_large + large <= self._limit_of_large
        )

    def _slowest(self, grown: Reception, size: int, now: float) -> Reception:
        """Return the slowest large reception; a small one only if none is large."""
        candidates = self._unfinished[True]
        if size > LARGE:
            candidates = {*candidates, grown}
        elif not candidates:
            candidates = {*self._unfinished[False], grown}
        return min(candidates, key=lambda reception: reception.speed(now))


def _nothing() -> None:
    """Do nothing: the owner is gone."""
