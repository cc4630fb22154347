"""The links between actors: bounded memory channels that carry batches.

A batch belongs to whoever holds it: the sender gives it away, the receiver may change it.
What stands in a link when a turn is cancelled is not lost; `leftovers` gives it back, also a
batch whose sender was cancelled while it waited for room.
"""

from types import TracebackType
from typing import Generic, TypeVar

import trio

T = TypeVar("T")

CAPACITY = 16
"""Batches that may wait in a link. Under load batches grow, so this rarely fills."""


class Link(Generic[T]):
    """One sender and one receiver, each closed by the task that was given it (`with`)."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        ends: tuple[trio.MemorySendChannel[list[T]], trio.MemoryReceiveChannel[list[T]]]
        ends = trio.open_memory_channel(capacity)
        self._send, self._receive = ends
        self._spare = self._receive.clone()
        self._waiting = 0
        self._unsent: list[list[T]] = []
        self.sender = Sender(self)
        self.receiver = Receiver(self)

    def leftovers(self) -> list[T]:
        """Take all that was put in and never got; only after both tasks have ended."""
        items: list[T] = []
        with self._spare:
            while self._waiting:
                self._waiting -= 1
                items += self._spare.receive_nowait()
        for batch in self._unsent:
            items += batch
        self._unsent = []
        return items

    async def _put(self, batch: list[T]) -> None:
        try:
            self._send.send_nowait(batch)
        except trio.WouldBlock:
            await self._put_when_there_is_room(batch)
        else:
            self._waiting += 1

    async def _put_when_there_is_room(self, batch: list[T]) -> None:
        # A cancelled send takes its batch back out of the channel: keep it for `leftovers`.
        self._unsent.append(batch)
        await self._send.send(batch)
        # Whoever waits longest gets through first, so an equal batch found first is this one.
        self._unsent.remove(batch)
        self._waiting += 1

    async def _get(self) -> list[T]:
        batch = await self._receive.receive()
        self._waiting -= 1
        # The count spares a WouldBlock for every lone token.
        while self._waiting > 0:
            self._waiting -= 1
            batch += self._receive.receive_nowait()
        return batch


class Sender(Generic[T]):
    """The end that puts batches in."""

    def __init__(self, link: Link[T]) -> None:
        self.put = link._put
        """`await put(batch)`: passes at once while there is room, else waits for it."""
        self._channel = link._send

    def __enter__(self) -> "Sender[T]":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._channel.close()


class Receiver(Generic[T]):
    """The end that takes out everything that has gathered, as one batch."""

    def __init__(self, link: Link[T]) -> None:
        self.get = link._get
        """`await get()`: raises `trio.EndOfChannel` once the sender is closed and all is taken."""
        self._channel = link._receive

    def __enter__(self) -> "Receiver[T]":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._channel.close()

    def __aiter__(self) -> "Receiver[T]":
        return self

    async def __anext__(self) -> list[T]:
        try:
            return await self.get()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None
