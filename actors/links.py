"""The links between actors: bounded channels of batches.

A batch belongs to whoever holds it: the sender gives it away, the receiver may change it. What
stands in a link when a turn is cancelled is not lost; `leftovers` gives it back.

Not `trio.open_memory_channel`, whose hop costs nearly twice as much (a tenth of a token in all),
and which drops what it holds when it is closed, or takes back what a cancelled sender gave it.
"""

from types import TracebackType
from typing import Generic, TypeVar

import trio
from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled

from actors.waiters import Waiters

T = TypeVar("T")

CAPACITY = 16
"""Batches that may stand in a link. Under load batches grow, so this rarely fills."""


class Link(Generic[T]):
    """One sender and one receiver, each closed by the task that was given it (`with`)."""

    __slots__ = ("_batches", "_capacity", "_room", "closed", "taker", "waiting")

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self.waiting: list[T] = []
        """All that was put in and not taken yet."""
        self._batches = 0
        self.closed = False
        self.taker: Task | None = None
        """The receiver's task while it waits."""
        self._room = Waiters()

    @property
    def sender(self) -> "Sender[T]":
        """The end for the task that puts in."""
        return Sender(self)

    @property
    def receiver(self) -> "Receiver[T]":
        """The end for the task that takes out."""
        return Receiver(self)

    async def put(self, batch: list[T]) -> None:
        """Give a batch away; beyond the capacity this returns only when there is room again.

        It is in the link from the start, so a cancelled sender has sent it nonetheless. Raises
        `trio.ClosedResourceError` once the sender is closed.
        """
        if self.closed:
            raise trio.ClosedResourceError
        if self.waiting:
            self.waiting += batch
        else:
            self.waiting = batch
        self._batches += 1
        if self.taker is not None:
            self._wake(self.taker)
        if self._batches > self._capacity:
            await self._room.wait()

    def leftovers(self) -> list[T]:
        """Take what stands in the link, without waiting."""
        items, self.waiting = self.waiting, []
        if self._batches > self._capacity:
            self._room.wake()
        self._batches = 0
        return items

    def close(self) -> None:
        """No more will be put in."""
        self.closed = True
        if self.taker is not None:
            self._wake(self.taker)

    def _wake(self, taker: Task) -> None:
        self.taker = None
        reschedule(taker)

    def forget_taker(self, _: object) -> Abort:
        """Its wait was cancelled."""
        self.taker = None
        return Abort.SUCCEEDED


class Sender(Generic[T]):
    """The end that puts batches in."""

    __slots__ = ("_link", "put")

    def __init__(self, link: Link[T]) -> None:
        self._link = link
        self.put = link.put
        """See `Link.put`."""

    def __enter__(self) -> "Sender[T]":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._link.close()


class Receiver(Generic[T]):
    """The end that takes out all that has gathered, as one batch: iterate it.

    It needs no closing: what it leaves, `Link.leftovers` gives back.
    """

    __slots__ = ("_link",)

    def __init__(self, link: Link[T]) -> None:
        self._link = link

    def __aiter__(self) -> "Receiver[T]":
        return self

    async def __anext__(self) -> list[T]:
        link = self._link
        while not link.waiting:
            if link.closed:
                raise StopAsyncIteration
            assert link.taker is None, "somebody waits here already"  # noqa: S101
            link.taker = current_task()
            await wait_task_rescheduled(link.forget_taker)
        return link.leftovers()

    async def get(self) -> list[T]:
        """Wait for the next batch; raises `trio.EndOfChannel` when none will come."""
        try:
            return await self.__anext__()
        except StopAsyncIteration:
            raise trio.EndOfChannel from None
