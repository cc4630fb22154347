"""Where a reader of a turn goes on: found by rendering it up to the last frame that they have."""

import trio
from msgspec import Struct

from actors.events import Replace, Retry
from actors.journal import Journal, Subscription
from actors.writer import last_frames
from web.dialects.frames import START, Cursor
from web.dialects.rendering import Render, Rendering
from web.dialects.retold import retold

_PAST_ALL = Cursor(2**31, 0)


class Place(Struct, frozen=True):
    """A place in a turn's frames. The rendering of what was read goes on with the rest."""

    rendering: Rendering
    reading: Subscription
    frames: bytes
    """What has been rendered already of what the reader lacks."""

    @property
    def is_last(self) -> bool:
        """Whether the reader has all frames, and none will come."""
        return self.reading.exhausted and not self.frames and not self.rendering.pending


class Search:
    """Looks in a turn's journal for the place after a frame.

    Long last frames are rendered in one of `threads`.
    """

    def __init__(
        self, journal: Journal, render: Render, after: Cursor, threads: trio.CapacityLimiter
    ) -> None:
        self._journal = journal
        self._render = render
        self._after = after
        self._threads = threads

    async def place(self) -> Place:
        """The place; raises `BadCursor` where nobody has sent that frame.

        What may have been sent stands in the journal already, since nothing is shown before. Of a
        turn that is over and was begun anew, who saw nothing is told it as it ended.
        """
        place = await self._found(self._journal, self._render(self._after))
        if self._journal.closed and (self._after == START or place.rendering.numbering.awaited):
            place = await self._as_it_ended(place) or place
        place.rendering.numbering.check()
        return place

    async def _found(self, journal: Journal, rendering: Rendering) -> Place:
        reading, frames = journal.subscribe(), b""
        while rendering.numbering.awaited and (reading.behind or rendering.pending):
            events = [] if rendering.pending else reading.read_nowait()
            if reading.exhausted:
                frames += await last_frames(rendering, events, self._threads)
            else:
                frames += rendering.render(events)
            await trio.lowlevel.checkpoint()
        return Place(rendering, reading, frames)

    async def _as_it_ended(self, first: Place) -> Place | None:
        """The place in what is told of an answer that was begun anew; None if told as it was.

        Its frames have numbers after all that are shown while it plays. Where some of those are
        lost, nobody knows what readers have seen.
        """
        events = self._journal.events
        if {Retry, Replace}.isdisjoint(map(type, events)):
            return None
        shown = first.rendering
        if not shown.numbering.awaited:
            shown = (await self._found(self._journal, self._render(_PAST_ALL))).rendering
        if not shown.taken_back or shown.numbering.last.epoch != START.epoch:
            return None
        again = self._render(self._after)
        again.numbering.go_on_from(shown.numbering)
        return await self._found(Journal(retold(events), closed=True), again)
