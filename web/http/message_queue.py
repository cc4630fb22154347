"""Queue of received WebSocket messages, bounded by count and by bytes."""

from collections import deque
from sys import getsizeof

from actors.runtime.wait_queue import WaitQueue
from web.server.receive_budget import ReceiveBudget

MOST = 64
"""Maximum number of waiting messages."""


class MessageQueue:
    """A queue whose writer never waits, because it is the task that detects disconnects.

    `max_bytes` limits the memory of all waiting messages; a single message may be larger. The
    budget counts them until the receiver asks for the next, because it has handled them by then.
    """

    __slots__ = ("_arrival", "_bytes", "_messages", "_most_bytes", "_reception")

    def __init__(self, max_bytes: int, budget: ReceiveBudget) -> None:
        self._messages: deque[str | bytes] = deque()
        self._reception = budget.open(self._messages.clear)
        self._reception.finish()
        self._most_bytes = max_bytes
        self._bytes = 0
        self._arrival = WaitQueue()

    @property
    def refused(self) -> bool:
        """True if there was no room in the budget for a message."""
        return self._reception.refused

    def put(self, message: str | bytes) -> bool:
        """Queue a message. Return False if there is no room for it."""
        size = getsizeof(message)
        if self._messages and (
            len(self._messages) >= MOST or self._bytes + size > self._most_bytes
        ):
            return False
        if not self._reception.add(size):
            return False
        self._messages.append(message)
        self._bytes += size
        self._arrival.wake()
        return True

    async def receive(self) -> str | bytes:
        """Wait for the next message and return it. If cancelled, no message is lost."""
        self._reception.resize(self._bytes)
        while not self._messages:
            await self._arrival.wait()
        message = self._messages.popleft()
        self._bytes -= getsizeof(message)
        return message

    def close(self) -> None:
        """Discard all messages."""
        self._messages.clear()
        self._reception.close()
