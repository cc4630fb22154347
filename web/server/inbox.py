"""What the server tells one request."""

from collections.abc import Callable

import trio
from hypercorn.typing import ASGIReceiveEvent, HTTPDisconnectEvent

from actors.waiters import Waiters

INBOX = "trouper.inbox"
"""The ASGI extension that holds a request's inbox."""
_CAPACITY = 16
_DISCONNECTS = {"http.disconnect", "websocket.disconnect"}


class Inbox:
    """Parts of a request's body in order, then that it is over.

    The end never waits behind parts that nobody reads. One who only wants to know of the end
    need not wait for it in a task: that is a tenth of what an open stream takes.
    """

    __slots__ = ("_arrival", "_closed", "_last", "_messages", "_over", "_room", "_tell")

    def __init__(self) -> None:
        self._messages: list[ASGIReceiveEvent] = []
        self._last: ASGIReceiveEvent = HTTPDisconnectEvent(type="http.disconnect")
        self._over = False
        self._closed = False
        self._arrival = Waiters()
        self._room = Waiters()
        self._tell: Callable[[], None] | None = None

    @property
    def holds_whole_body(self) -> bool:
        """Whether the last part of the body, and all before it, can be taken without waiting."""
        return bool(self._messages) and self._messages[-1].get("more_body") is False

    def when_over(self, tell: Callable[[], None]) -> None:
        """Call `tell` once, as soon as the request is over; at once if it is."""
        if self._over:
            tell()
        else:
            self._tell = tell

    async def put(self, message: ASGIReceiveEvent) -> None:
        """Queue a message; waits while too many are unread, except with the last."""
        if message["type"] in _DISCONNECTS:
            self._end(message)
        elif not (self._over or self._closed):
            self._messages.append(message)
            self._arrival.wake()
            if len(self._messages) > _CAPACITY:
                await self._room.wait()

    def _end(self, message: ASGIReceiveEvent) -> None:
        self._last = message
        self._over = True
        self._arrival.wake()
        self._room.wake()
        tell, self._tell = self._tell, None
        if tell is not None:
            tell()

    async def get(self) -> ASGIReceiveEvent:
        """The next message; after the end, the end again and again."""
        while not self._messages:
            if self._over:
                await trio.lowlevel.checkpoint()  # an app may ask in a loop
                return self._last
            await self._arrival.wait()
        message = self._messages.pop(0)
        self._room.wake()
        return message

    def close(self) -> None:
        """Nobody reads any more: whoever waits to put need not."""
        self._closed = True
        self._tell = None
        self._messages.clear()
        self._room.wake()
