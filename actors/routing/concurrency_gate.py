"""Concurrency gate: limits a provider's concurrent calls; further calls wait for a bounded time."""

import math

import trio


class ProviderBusy(Exception):
    """No slot became free in time; the provider was not called."""


class ConcurrencyGate:
    """The concurrent slots of one provider, given to waiting tasks in order of arrival.

    With `limit` None nothing ever waits. `wait_s` is the longest wait in seconds. A task that is
    cancelled while it waits loses its position and takes no slot. A task holds one slot at a time.
    """

    __slots__ = ("_slots", "_wait_s")

    def __init__(self, limit: int | None, wait_s: float) -> None:
        self._slots = trio.CapacityLimiter(math.inf if limit is None else limit)
        self._wait_s = wait_s

    @property
    def in_flight(self) -> int:
        """Number of slots in use."""
        return self._slots.borrowed_tokens

    async def acquire(self) -> None:
        """Take a slot, which the same task must `release`; raises `ProviderBusy`.

        This is a checkpoint only if it has to wait.
        """
        try:
            self._slots.acquire_nowait()
        except trio.WouldBlock:
            await self._wait()

    def release(self) -> None:
        """Give the task's slot back; it goes to the task that has waited longest."""
        self._slots.release()

    async def _wait(self) -> None:
        with trio.move_on_after(self._wait_s) as waiting:
            await self._slots.acquire()
        if waiting.cancelled_caught:
            raise ProviderBusy
