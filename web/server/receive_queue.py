"""Receive queue of one request: the parts of its body, then its disconnect."""

from collections.abc import Callable

import trio
from hypercorn.typing import ASGIReceiveEvent, HTTPDisconnectEvent

from actors.runtime.wait_queue import WaitQueue

RECEIVE_QUEUE = "trouper.receive_queue"
"""Name of the ASGI extension that holds a request's queue."""
_CAPACITY = 16
_DISCONNECTS = {"http.disconnect", "websocket.disconnect"}


class ReceiveQueue:
    """A bounded queue of a request's ASGI messages.

    The disconnect never waits behind unread parts. `when_over` reports it with a callback, which
    saves a waiting task: a task is a tenth of the memory of an open stream.
    """

    __slots__ = ("_arrival", "_callback", "_closed", "_last", "_messages", "_over", "_room")

    def __init__(self) -> None:
        self._messages: list[ASGIReceiveEvent] = []
        self._last: ASGIReceiveEvent = HTTPDisconnectEvent(type="http.disconnect")
        self._over = False
        self._closed = False
        self._arrival = WaitQueue()
        self._room = WaitQueue()
        self._callback: Callable[[], None] | None = None

    @property
    def has_whole_body(self) -> bool:
        """True if the rest of the body can be received without waiting."""
        return bool(self._messages) and self._messages[-1].get("more_body") is False

    def when_over(self, callback: Callable[[], None]) -> None:
        """Call `callback` once, when the request is over; immediately if it already is."""
        if self._over:
            callback()
        else:
            self._callback = callback

    async def put(self, message: ASGIReceiveEvent) -> None:
        """Queue a message; wait while too many are unread, except for a disconnect."""
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
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()

    async def get(self) -> ASGIReceiveEvent:
        """Return the next message; after the end, always return the disconnect."""
        while not self._messages:
            if self._over:
                await trio.lowlevel.checkpoint()  # an app may call this in a loop
                return self._last
            await self._arrival.wait()
        message = self._messages.pop(0)
        self._room.wake()
        return message

    def close(self) -> None:
        """Discard all messages, now and later, and release a waiting `put`."""
        self._closed = True
        self._callback = None
        self._messages.clear()
        self._room.wake()
