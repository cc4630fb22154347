"""Where a reader of a turn goes on: found by rendering it up to the last frame that they have."""

import trio
from msgspec import Struct

from actors.events import Replace, Retry
from actors.journal import Journal, Subscription
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


async def place_after(journal: Journal, render: Render, after: Cursor) -> Place:
    """The place after that frame; raises `BadCursor` where nobody has sent it.

    What may have been sent stands in the journal already, since nothing is shown before. Of a turn
    that is over and was begun anew, who saw nothing is told it as it ended.
    """
    place = await _found(journal, render(after))
    if journal.closed and (after == START or place.rendering.numbering.awaited):
        place = await _as_it_ended(journal, render, after, place) or place
    place.rendering.numbering.check()
    return place


async def _found(journal: Journal, rendering: Rendering) -> Place:
    reading, frames = journal.subscribe(), b""
    while rendering.numbering.awaited and (reading.behind or rendering.pending):
        frames += rendering.render([] if rendering.pending else reading.read_nowait())
        await trio.lowlevel.checkpoint()
    return Place(rendering, reading, frames)


async def _as_it_ended(
    journal: Journal, render: Render, after: Cursor, first: Place
) -> Place | None:
    """The place in what is told of an answer that was begun anew; None where it is told as it was.

    Its frames have numbers after all that are shown while it plays. Where some of those are lost,
    nobody knows what readers have seen.
    """
    if {Retry, Replace}.isdisjoint(map(type, journal.events)):
        return None
    shown = first.rendering
    if not shown.numbering.awaited:
        shown = (await _found(journal, render(_PAST_ALL))).rendering
    if not shown.taken_back or shown.numbering.last.epoch != START.epoch:
        return None
    again = render(after)
    again.numbering.go_on_from(shown.numbering)
    return await _found(Journal(retold(journal.events), closed=True), again)
