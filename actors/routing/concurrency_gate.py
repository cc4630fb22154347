"""Concurrency gate: limits a provider's concurrent calls; further calls wait for a bounded time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


class ProviderBusy(Exception):
    """No slot became free in time; the provider was not called."""

    def __init__(self, limit: int, wait_s: float) -> None:
        super().__init__(f"all {limit} slots of the provider stayed in use for {wait_s:g} s")
        self.limit = limit
        self.wait_s = wait_s


class ConcurrencyGate:
    """The concurrent slots of one provider, given to waiting tasks in order of arrival.

    With `limit` None nothing ever waits. `wait_s` is the longest wait in seconds. A task that is
    cancelled while it waits loses its position and takes no slot.
    """

    __slots__ = ("_limit", "_slots", "_wait_s", "in_flight")

    def __init__(self, limit: int | None, wait_s: float) -> None:
        self._limit = limit
        self._wait_s = wait_s
        self._slots = None if limit is None else trio.Semaphore(limit, max_value=limit)
        self.in_flight = 0
        """Number of slots in use."""

    @property
    def waiting(self) -> int:
        """Number of tasks that wait for a slot."""
        return 0 if self._slots is None else self._slots.statistics().tasks_waiting

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold a slot for the duration of the block; raises `ProviderBusy`."""
        await self.acquire()
        try:
            yield
        finally:
            self.release()

    async def acquire(self) -> None:
        """Take a slot, which the caller must `release`; raises `ProviderBusy`.

        This is a checkpoint only if it has to wait.
        """
        if self._slots is not None and self._limit is not None:
            try:
                self._slots.acquire_nowait()
            except trio.WouldBlock:
                await self._wait(self._slots, self._limit)
        self.in_flight += 1

    def release(self) -> None:
        """Give a slot back; it goes to the task that has waited longest."""
        self.in_flight -= 1
        if self._slots is not None:
            self._slots.release()

    async def _wait(self, slots: trio.Semaphore, limit: int) -> None:
        with trio.move_on_after(self._wait_s) as waiting:
            await slots.acquire()
        if waiting.cancelled_caught:
            raise ProviderBusy(limit, self._wait_s)
