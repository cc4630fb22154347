"""How many calls a provider gets at once; others wait their turn, but not for ever."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


class ProviderBusy(Exception):
    """No place came free in time; the provider was not asked."""

    def __init__(self, limit: int, wait_s: float) -> None:
        super().__init__(f"all {limit} places at the provider stayed taken for {wait_s:g} s")
        self.limit = limit
        self.wait_s = wait_s


class Gate:
    """One provider's places. First come, first served; who is cancelled while waiting just goes.

    With `limit` None there is always room, and nothing waits. `wait_s` bounds a wait in seconds.
    """

    __slots__ = ("_limit", "_places", "_wait_s", "in_flight")

    def __init__(self, limit: int | None, wait_s: float) -> None:
        self._limit = limit
        self._wait_s = wait_s
        self._places = None if limit is None else trio.Semaphore(limit, max_value=limit)
        self.in_flight = 0
        """How many places are taken now."""

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return 0 if self._places is None else self._places.statistics().tasks_waiting

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Take a place for as long as the block lasts; raises `ProviderBusy`."""
        await self.acquire()
        try:
            yield
        finally:
            self.release()

    async def acquire(self) -> None:
        """Take a place, to be given back with `release`; raises `ProviderBusy`.

        A checkpoint only where it has to wait.
        """
        if self._places is not None and self._limit is not None:
            try:
                self._places.acquire_nowait()
            except trio.WouldBlock:
                await self._queue(self._places, self._limit)
        self.in_flight += 1

    def release(self) -> None:
        """Give a place back: it goes to whoever has waited longest."""
        self.in_flight -= 1
        if self._places is not None:
            self._places.release()

    async def _queue(self, places: trio.Semaphore, limit: int) -> None:
        with trio.move_on_after(self._wait_s) as waiting:
            await places.acquire()
        if waiting.cancelled_caught:
            raise ProviderBusy(limit, self._wait_s)
