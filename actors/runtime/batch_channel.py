"""Batch channels between actors: bounded, with one sender and one receiver each.

Ownership of a batch passes with it: the sender must not touch it again, the receiver may change
it. Items still in a channel when a turn is cancelled are not lost; `leftovers` returns them.

`trio.open_memory_channel` is not used for two reasons: a hop costs nearly twice as much (a tenth
of the cost of a token in all), and it drops its content when it is closed and removes the batch of
a cancelled sender.
"""

from types import TracebackType
from typing import Generic, TypeVar

import trio
from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled

from actors.runtime.wait_queue import WaitQueue

T = TypeVar("T")

CAPACITY = 16
"""Batches that a link holds before `put` blocks. Batches grow under load, so it rarely does."""


class BatchChannel(Generic[T]):
    """A channel of batches with one sender, which its task closes (`with`), and one receiver."""

    __slots__ = ("_batches", "_capacity", "_room", "closed", "receiving_task", "waiting")

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self.waiting: list[T] = []
        """Items that have not been received yet."""
        self._batches = 0
        self.closed = False
        self.receiving_task: Task | None = None
        """Task of the receiver while it waits, or None."""
        self._room = WaitQueue()

    @property
    def sender(self) -> "Sender[T]":
        """Sending end of the channel."""
        return Sender(self)

    @property
    def receiver(self) -> "Receiver[T]":
        """Receiving end of the channel."""
        return Receiver(self)

    async def put(self, batch: list[T]) -> None:
        """Send a batch, then wait for room if the link is beyond its capacity.

        The batch is added before the wait, so it is sent even if the wait is cancelled. Raises
        `trio.ClosedResourceError` once the sender is closed.
        """
        if self.closed:
            raise trio.ClosedResourceError
        if self.waiting:
            self.waiting += batch
        else:
            self.waiting = batch
        self._batches += 1
        if self.receiving_task is not None:
            self._wake(self.receiving_task)
        if self._batches > self._capacity:
            await self._room.wait()

    def leftovers(self) -> list[T]:
        """Remove and return all items in the link without waiting."""
        items, self.waiting = self.waiting, []
        if self._batches > self._capacity:
            self._room.wake()
        self._batches = 0
        return items

    def close(self) -> None:
        """Close the sending end; the receiver still gets the items in the link."""
        self.closed = True
        if self.receiving_task is not None:
            self._wake(self.receiving_task)

    def _wake(self, task: Task) -> None:
        # Cleared here and not by the task: a second wake before it runs must not reschedule it.
        self.receiving_task = None
        reschedule(task)

    def abort_receive(self, _: object) -> Abort:
        """Forget the receiving task when trio cancels its wait (an abort function of trio)."""
        self.receiving_task = None
        return Abort.SUCCEEDED


class Sender(Generic[T]):
    """The sending end of a link: a context manager that closes it."""

    __slots__ = ("_link", "put")

    def __init__(self, link: BatchChannel[T]) -> None:
        self._link = link
        self.put = link.put
        """See `BatchChannel.put`."""

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
    """The receiving end of a link: an async iterator whose items are all waiting items at once.

    It needs no closing: `BatchChannel.leftovers` returns the items that it didn't receive.
    """

    __slots__ = ("_link",)

    def __init__(self, link: BatchChannel[T]) -> None:
        self._link = link

    def __aiter__(self) -> "Receiver[T]":
        return self

    async def __anext__(self) -> list[T]:
        link = self._link
        while not link.waiting:
            if link.closed:
                raise StopAsyncIteration
            assert link.receiving_task is None, "another task is already receiving"  # noqa: S101
            link.receiving_task = current_task()
            await wait_task_rescheduled(link.abort_receive)
        return link.leftovers()

    async def get(self) -> list[T]:
        """Wait for the next batch; raises `trio.EndOfChannel` once closed and empty."""
        try:
            return await self.__anext__()
        except StopAsyncIteration:
            raise trio.EndOfChannel from None
