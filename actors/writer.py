"""The writer: renders a turn's events for one client and hands over the bytes.

Fifth actor of a turn. It plays in the request's scope, as a reader of the journal: the client
that started a turn, one that resumes it and a second reader are the same thing.
"""

from collections.abc import Callable
from functools import partial
from typing import Protocol

import trio

from actors.events import AnyEvent
from actors.heavy import off_loop
from actors.journal import Subscription
from actors.laggard import Laggard, Pace, ReaderTooSlow
from actors.long_answers import is_long
from actors.ports import Stored

ANY_PACE = Pace(lag_bytes=2**63, bytes_per_s=0)


class Dialect(Protocol):
    """How events look to one kind of client: a pure function of the events seen so far."""

    @property
    def heartbeat(self) -> bytes:
        """What is sent at the start, and after every silence; no frame."""

    @property
    def repeats_much(self) -> bool:
        """Whether the last frames repeat so much that it takes more than 5 ms to render them."""

    @property
    def pending(self) -> bool:
        """Whether the last event completes more frames than `render` gave at once."""

    def render(self, events: list[AnyEvent]) -> bytes:
        """The frames that these events complete; may be empty.

        Without events the next of those that are `pending`.
        """

    def comment(self, text: str) -> bytes:
        """Something that only a person reads; no frame."""


async def last_frames(
    dialect: Dialect, events: list[AnyEvent], threads: trio.CapacityLimiter | None
) -> bytes:
    """What the dialect renders at the end of a journal; in one of `threads` where that is much."""
    long = dialect.repeats_much or is_long(events)
    return await off_loop(long, threads, partial(dialect.render, events))


class Writer:
    """An async iterator of bytes: one heartbeat at once, then frames and heartbeats.

    `stored` tells where the final record went; anything but `committed` is said in a comment
    before the last frames, since they promise a record. Being asked for the next part means that
    the last one was taken: one who asks too slowly for `pace` gets `ReaderTooSlow`. `frames`
    come first, of what was read before. Long last frames are rendered in one of `threads`.
    """

    __slots__ = (
        "_dialect",
        "_events",
        "_frames",
        "_laggard",
        "_opened",
        "_pace",
        "_stored",
        "_subscription",
        "_taken",
        "_threads",
    )

    def __init__(
        self,
        subscription: Subscription,
        dialect: Dialect,
        stored: Callable[[], Stored | None] = lambda: "committed",
        pace: Pace = ANY_PACE,
        frames: bytes = b"",
        threads: trio.CapacityLimiter | None = None,
    ) -> None:
        self._subscription = subscription
        self._dialect = dialect
        self._stored = stored
        self._pace = pace
        self._frames = frames
        self._threads = threads
        self._opened = False
        self._taken = 0
        """Bytes of frames that were given, …"""
        self._events = 0
        """… and the events that they show."""
        self._laggard: Laggard | None = None

    @property
    def exhausted(self) -> bool:
        """Whether what was given last was the end."""
        return self._opened and self._at_end

    @property
    def _at_end(self) -> bool:
        return self._subscription.exhausted and not self._dialect.pending

    def __aiter__(self) -> "Writer":
        return self

    async def __anext__(self) -> bytes:
        subscription = self._subscription
        if not self._opened:
            self._opened = True
            before, self._frames = self._frames, b""
            frames = before + await self._render(subscription.read_nowait())
            return self._dialect.heartbeat + self._storage_note() + frames
        while True:
            if subscription.behind:
                self._check_pace()
            elif self._laggard is not None:
                self._laggard = None
            events: list[AnyEvent] = []
            if not self._dialect.pending:
                events = await subscription.read()
                if not events:
                    return self._silence()
            frames = await self._render(events)
            if frames:
                return self._storage_note() + frames if subscription.closed else frames
            await trio.lowlevel.checkpoint()  # there may be thousands that show nothing

    async def _render(self, events: list[AnyEvent]) -> bytes:
        if self._subscription.exhausted:
            frames = await last_frames(self._dialect, events, self._threads)
        else:
            frames = self._dialect.render(events)
        if frames:
            self._taken += len(frames)
            self._events += len(events)
        return frames

    def _check_pace(self) -> None:
        """Raise `ReaderTooSlow` if the reader lags too far and too long."""
        lag = self._subscription.behind * self._taken // max(1, self._events)
        if lag <= self._pace.lag_bytes:
            self._laggard = None
        elif self._laggard is None:
            self._laggard = Laggard(self._pace, trio.current_time(), self._taken)
        elif self._laggard.is_too_slow(trio.current_time(), self._taken):
            raise ReaderTooSlow(f"{lag} bytes behind")

    def _silence(self) -> bytes:
        if self._subscription.exhausted:
            raise StopAsyncIteration
        return self._dialect.heartbeat

    def _storage_note(self) -> bytes:
        if not self._at_end:
            return b""
        stored = self._stored()
        return b"" if stored in (None, "committed") else self._dialect.comment(f"stored {stored}")
