"""Writer: renders a turn's events as bytes for one client.

The fifth actor of a turn. It runs in the request's scope as a reader of the journal, so it treats
the client that started the turn, a client that resumes it and a second reader alike.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import trio

from actors.answer.codec import is_long
from actors.journal.journal import Subscription
from actors.journal.reader_pace import Pace, ReaderTooSlow, SlowReader
from actors.runtime.offload import off_loop
from actors.turn.events import AnyEvent
from actors.turn.store_records import Stored

ANY_PACE = Pace(lag_bytes=2**63, bytes_per_s=0)
"""Pace that every reader meets."""


class Dialect(Protocol):
    """A client protocol: renders frames as a pure function of the events seen so far."""

    @property
    def heartbeat(self) -> bytes:
        """Bytes sent at the start and after each silence; they don't count as a frame."""

    @property
    def repeats_much(self) -> bool:
        """True if the last frames repeat so much text that rendering takes more than 5 ms."""

    @property
    def pending(self) -> bool:
        """True if the last event has more frames than `render` returned at once."""

    def render(self, events: list[AnyEvent]) -> bytes:
        """Return the frames that these events complete; may be empty.

        Without events, return the next of the pending frames.
        """

    def comment(self, text: str) -> bytes:
        """Return a comment for human readers; it doesn't count as a frame."""


async def last_frames(
    dialect: Dialect, events: list[AnyEvent], threads: trio.CapacityLimiter | None
) -> bytes:
    """Render the end of a journal, in one of `threads` if that takes long."""
    long = dialect.repeats_much or is_long(events)
    return await off_loop(long, threads, partial(dialect.render, events))


@dataclass(slots=True, eq=False)
class Writer:
    """An async iterator of bytes: a heartbeat at once, then frames and heartbeats.

    `stored` returns where the final record went. Anything but `committed` is reported in a comment
    before the last frames, because they imply a stored record. A request for the next part means
    that the client has taken the previous one; a client slower than `pace` gets `ReaderTooSlow`.
    `frames` are sent first: they were rendered before. Long last frames are rendered in one of
    `threads`.
    """

    subscription: Subscription
    dialect: Dialect
    stored: Callable[[], Stored | None] = lambda: "committed"
    pace: Pace = ANY_PACE
    frames: bytes = b""
    threads: trio.CapacityLimiter | None = None
    _opened: bool = False
    _taken: int = 0
    """Bytes of frames returned so far."""
    _events: int = 0
    """Number of events that these frames show."""
    _slow_reader: SlowReader | None = None

    @property
    def exhausted(self) -> bool:
        """True if the last part returned was the end."""
        return self._opened and self._at_end

    @property
    def _at_end(self) -> bool:
        return self.subscription.exhausted and not self.dialect.pending

    def __aiter__(self) -> "Writer":
        return self

    async def __anext__(self) -> bytes:
        subscription = self.subscription
        if not self._opened:
            self._opened = True
            before, self.frames = self.frames, b""
            frames = before + await self._render(subscription.read_nowait())
            return self.dialect.heartbeat + self._storage_note() + frames
        while True:
            if subscription.behind:
                self._check_pace()
            elif self._slow_reader is not None:
                self._slow_reader = None
            events: list[AnyEvent] = []
            if not self.dialect.pending:
                events = await subscription.read()
                if not events:
                    return self._end_or_heartbeat()
            frames = await self._render(events)
            if frames:
                return self._storage_note() + frames if subscription.closed else frames
            # Thousands of events may render to nothing; other tasks must run in the meantime.
            await trio.lowlevel.checkpoint()

    async def _render(self, events: list[AnyEvent]) -> bytes:
        if self.subscription.exhausted:
            frames = await last_frames(self.dialect, events, self.threads)
        else:
            frames = self.dialect.render(events)
        if frames:
            self._taken += len(frames)
            self._events += len(events)
        return frames

    def _check_pace(self) -> None:
        """Raise `ReaderTooSlow` if the reader lags too far for too long."""
        # Unread events aren't rendered yet: estimate their size from the average so far.
        lag = self.subscription.behind * self._taken // max(1, self._events)
        if lag <= self.pace.lag_bytes:
            self._slow_reader = None
        elif self._slow_reader is None:
            self._slow_reader = SlowReader(self.pace, trio.current_time(), self._taken)
        elif self._slow_reader.is_too_slow(trio.current_time(), self._taken):
            raise ReaderTooSlow(f"{lag} bytes behind")

    def _end_or_heartbeat(self) -> bytes:
        if self.subscription.exhausted:
            raise StopAsyncIteration
        return self.dialect.heartbeat

    def _storage_note(self) -> bytes:
        if not self._at_end:
            return b""
        stored = self.stored()
        return b"" if stored in (None, "committed") else self.dialect.comment(f"stored {stored}")
