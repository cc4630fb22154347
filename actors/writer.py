"""The writer: renders a turn's events for one client and hands over the bytes.

Fifth actor of a turn. It plays in the request's scope, as a reader of the journal: the client
that started a turn, one that resumes it and a second reader are the same thing.
"""

from collections.abc import Callable
from typing import Protocol

from actors.events import AnyEvent
from actors.journal import Subscription
from actors.ports import Stored

HEARTBEAT = b": ping\n"
"""A comment line without the blank line after it: some SDKs take that for an empty event."""


class Dialect(Protocol):
    """How events look to one kind of client: a pure function of the events seen so far."""

    def render(self, events: list[AnyEvent]) -> bytes:
        """The frames that these events complete; may be empty."""


class Writer:
    """An async iterator of bytes: one heartbeat at once, then frames and heartbeats.

    `stored` tells where the final record went; anything but `committed` is said in a comment
    before the last frames, since they promise a record.
    """

    __slots__ = ("_dialect", "_opened", "_stored", "_subscription")

    def __init__(
        self,
        subscription: Subscription,
        dialect: Dialect,
        stored: Callable[[], Stored | None] = lambda: "committed",
    ) -> None:
        self._subscription = subscription
        self._dialect = dialect
        self._stored = stored
        self._opened = False

    @property
    def exhausted(self) -> bool:
        """Whether what was given last was the end."""
        return self._opened and self._subscription.exhausted

    def __aiter__(self) -> "Writer":
        return self

    async def __anext__(self) -> bytes:
        if not self._opened:
            self._opened = True
            frames = self._dialect.render(self._subscription.read_nowait())
            return HEARTBEAT + self._storage_note() + frames
        while True:
            events = await self._subscription.read()
            if not events:
                return self._silence()
            frames = self._dialect.render(events)
            if frames:
                return self._storage_note() + frames

    def _silence(self) -> bytes:
        if self._subscription.exhausted:
            raise StopAsyncIteration
        return HEARTBEAT

    def _storage_note(self) -> bytes:
        if not self._subscription.exhausted:
            return b""
        stored = self._stored()
        return b"" if stored in (None, "committed") else f": stored {stored}\n".encode()
