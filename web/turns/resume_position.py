"""Finds the resume position of a client by re-rendering the turn up to the client's last frame."""

import trio
from msgspec import Struct

from actors.answer.builder import settled_events
from actors.journal.journal import Journal, Subscription
from actors.turn.events import Replace, Retry
from actors.writer import last_frames
from web.dialects.base import DialectStream, Render
from web.dialects.frames import START, Cursor

_PAST_ALL = Cursor(2**31, 0)


class ResumePosition(Struct, frozen=True):
    """A resume position: the rest of `reading` continues the same `stream`."""

    stream: DialectStream
    reading: Subscription
    frames: bytes
    """Frames after the client's last one that are already rendered."""

    @property
    def is_last(self) -> bool:
        """True if the client has all frames and no more will come."""
        return self.reading.exhausted and not self.frames and not self.stream.pending


class PositionSearch(Struct, frozen=True):
    """A search in a turn's journal for the position after the frame `after`.

    Large final frames are rendered in one of `threads`.
    """

    journal: Journal
    render: Render
    after: Cursor
    threads: trio.CapacityLimiter

    async def find(self) -> ResumePosition:
        """Return the resume position. Raises `BadCursor` if that frame was never sent.

        Every frame that was sent can be rendered from the journal, because events are shown only
        after they are in it. If the answer of an ended turn was restarted, a client without any
        frame gets only the settled answer.
        """
        position = await self._advance(self.journal, self.render(self.after))
        if self.journal.closed and (
            self.after == START or position.stream.numbering.client_is_ahead
        ):
            position = await self._in_settled_answer(position) or position
        position.stream.numbering.check()
        return position

    async def _advance(self, journal: Journal, stream: DialectStream) -> ResumePosition:
        reading, frames = journal.subscribe(), b""
        while stream.numbering.client_is_ahead and (reading.behind or stream.pending):
            events = [] if stream.pending else reading.read_nowait()
            if reading.exhausted:
                frames += await last_frames(stream, events, self.threads)
            else:
                frames += stream.render(events)
            await trio.lowlevel.checkpoint()
        return ResumePosition(stream, reading, frames)

    async def _in_settled_answer(self, first: ResumePosition) -> ResumePosition | None:
        """Return the position in the settled answer, or None if nothing shown was taken back.

        The frames of the settled answer are numbered after all frames that were shown live. If
        some live frames cannot be rendered any more, what clients have seen is unknown, and the
        result is also None.
        """
        events = self.journal.events
        if {Retry, Replace}.isdisjoint(map(type, events)):
            return None
        shown = first.stream
        if not shown.numbering.client_is_ahead:
            shown = (await self._advance(self.journal, self.render(_PAST_ALL))).stream
        if not shown.discarded or shown.numbering.last.epoch != START.epoch:
            return None
        settled = self.render(self.after)
        settled.numbering.continue_after(shown.numbering)
        return await self._advance(Journal(settled_events(events), closed=True), settled)
