"""Messages of a WebSocket that wait for their handler: so many, and so many bytes of them."""

from collections import deque
from sys import getsizeof

from actors.waiters import Waiters

MOST = 64
"""How many messages may wait."""


class MessageInbox:
    """A queue whose writer never waits: it is the task that sees the client leave.

    `most_bytes` is what waiting messages may take in memory; a single one may be larger.
    """

    __slots__ = ("_arrival", "_bytes", "_messages", "_most_bytes")

    def __init__(self, most_bytes: int) -> None:
        self._messages: deque[str | bytes] = deque()
        self._most_bytes = most_bytes
        self._bytes = 0
        self._arrival = Waiters()

    def put(self, message: str | bytes) -> bool:
        """Queue a message; false if there is no room for it."""
        size = getsizeof(message)
        if self._messages and (
            len(self._messages) >= MOST or self._bytes + size > self._most_bytes
        ):
            return False
        self._messages.append(message)
        self._bytes += size
        self._arrival.wake()
        return True

    async def receive(self) -> str | bytes:
        """The next message, after waiting for it. Cancelled, it takes none."""
        while not self._messages:
            await self._arrival.wait()
        message = self._messages.popleft()
        self._bytes -= getsizeof(message)
        return message
