"""Receive queue of one request: the parts of its body, then its disconnect."""

from collections.abc import Callable
from typing import cast

import trio
from hypercorn.typing import ASGIReceiveEvent, HTTPDisconnectEvent

from actors.runtime.wait_queue import WaitQueue
from web.server.receive_budget import ReceiveBudget

RECEIVE_QUEUE = "trouper.receive_queue"
"""Name of the ASGI extension that holds a request's queue."""
_CAPACITY = 16
_DISCONNECTS = {"http.disconnect", "websocket.disconnect"}


class BodyRefused(Exception):
    """The body was dropped, because all clients together send too much. Answer with 503."""


def queue_of(scope: object) -> "ReceiveQueue":
    """Return the queue in an ASGI scope."""
    return cast("dict[str, dict[str, ReceiveQueue]]", scope)["extensions"][RECEIVE_QUEUE]


class ReceiveQueue:
    """A bounded queue of a request's ASGI messages.

    The disconnect never waits behind unread parts. `when_over` reports it with a callback, which
    saves a waiting task: a task is a tenth of the memory of an open stream.

    `reception` counts the body. It is the caller's to close once the body has been decoded; `close`
    does it at the latest.
    """

    __slots__ = (
        *("_arrival", "_callback", "_closed", "_dropped", "_last", "_messages", "_on_refused"),
        *("_over", "_refused", "_room", "budget", "reception"),
    )

    def __init__(self, budget: ReceiveBudget) -> None:
        self.budget = budget
        self.reception = budget.open(self._refuse)
        self._messages: list[ASGIReceiveEvent] = []
        self._last: ASGIReceiveEvent = HTTPDisconnectEvent(type="http.disconnect")
        self._over = False
        self._closed = False
        self._refused = False
        self._dropped = 0
        self._arrival = WaitQueue()
        self._room = WaitQueue()
        self._callback: Callable[[], None] | None = None
        self._on_refused: Callable[[], None] | None = None

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

    def when_refused(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the reception is refused, instead of raising in `get`."""
        self._on_refused = callback

    async def put(self, message: ASGIReceiveEvent) -> None:
        """Queue a message; wait while too many are unread, except for a disconnect."""
        if message["type"] in _DISCONNECTS:
            self._end(message)
        elif not (self._over or self._closed) and self._count(message):
            self._messages.append(message)
            self._arrival.wake()
            if len(self._messages) > _CAPACITY:
                await self._room.wait()
        else:
            await self._drop()

    def _count(self, message: ASGIReceiveEvent) -> bool:
        """Count a part of a body; return False if the body was refused."""
        if message["type"] != "http.request":
            return True
        accepted = self.reception.add(len(message.get("body", b"")))
        if accepted and not message.get("more_body", False):
            self.reception.finish()
        return accepted

    async def _drop(self) -> None:
        """Ignore a message; a client that sends many of them must not stop other tasks."""
        self._dropped += 1
        if self._dropped % _CAPACITY == 0:
            await trio.lowlevel.checkpoint()

    def _refuse(self) -> None:
        if self._on_refused is not None:
            self._on_refused()
            return
        self._refused = True
        self._messages.clear()
        self._arrival.wake()
        self._room.wake()

    def _end(self, message: ASGIReceiveEvent) -> None:
        self._last = message
        self._over = True
        self._arrival.wake()
        self._room.wake()
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()

    async def get(self) -> ASGIReceiveEvent:
        """Return the next message; after the end or `discard`, always return the disconnect.

        Raises `BodyRefused` if there was no room in the budget.
        """
        while not self._messages:
            if self._refused and not self._over:
                raise BodyRefused
            if self._over or self._closed:
                await trio.lowlevel.checkpoint()  # an app may call this in a loop
                return self._last
            await self._arrival.wait()
        message = self._messages.pop(0)
        self._room.wake()
        return message

    def discard(self) -> None:
        """Discard all messages, now and later, and release a waiting `put` and `get`."""
        self._closed = True
        self._messages.clear()
        self._arrival.wake()
        self._room.wake()
        self.reception.close()

    def close(self) -> None:
        """Discard all messages and forget the callbacks, at the end of the request."""
        self._callback = None
        self._on_refused = None
        self.discard()
