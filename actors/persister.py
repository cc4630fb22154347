"""Persister: appends the events to the journal and adds them to the turn's answer.

The fourth actor of a turn. A turn counts as finished only if the finish has been consumed here,
not if the streamer has seen one.
"""

from functools import partial

from actors.accumulator import Draft
from actors.journal.checkpointer import Checkpointer, Tail
from actors.ports import EventBus
from actors.runtime.batch_channel import Receiver
from actors.turn import events
from actors.turn.chunks import FinishChunk
from actors.turn.event_order import EventOrder, JournalState, OutOfOrder
from actors.turn.events import AnyEvent, Ended, Started, Text
from actors.turn.lifecycle_events import EventDropped
from actors.turn.outcome import Reason
from actors.turn.state import Turn

EVENT_OVERHEAD = 24
"""Approximate bytes of an event in a segment without its text."""


class Persister:
    """The state of the actor: event order, journal, and the finish that it consumed."""

    __slots__ = (
        "_bus",
        "_checkpointer",
        "_early",
        "_order",
        "_turn",
        "tail",
    )

    def __init__(self, turn: Turn, checkpointer: Checkpointer, bus: EventBus) -> None:
        self._turn = turn
        self._checkpointer = checkpointer
        self._bus = bus
        self._order = EventOrder()
        self._early: list[AnyEvent] = []
        # Not a bound method of this object: it would form a reference cycle with the tail, which
        # keeps the journal in memory until a garbage collection.
        fenced = partial(turn.stop, Reason.OWNER_LOST)
        self.tail = Tail(turn.id, turn.owner, turn.journal.events, fenced)

    @property
    def started(self) -> bool:
        """True if `started` is in the journal."""
        return self._order.place is not JournalState.EMPTY

    def step(self, drafts: list[Draft]) -> None:
        """Append the events to the journal and remember the finish."""
        ready: list[AnyEvent] = []
        size = 0
        for draft in drafts:
            if type(draft) is Text:
                if self._admit(draft, ready):
                    size += len(draft.delta)
            else:
                self._step_other(draft, ready)
        if ready:
            self._turn.journal.append(ready)
            if self._turn.request.keep_text:
                self._checkpointer.mark(self.tail, size + EVENT_OVERHEAD * len(ready))
            add = self._turn.answer.add
            for event in ready:
                add(event)

    def closing(self, ended: Ended) -> list[AnyEvent]:
        """Return the last events up to `ended`, without appending them to the journal."""
        last: list[AnyEvent] = []
        if not self.started:
            last.append(started_without_route(self._turn))
        last += self._early
        last.append(ended)
        return last

    def _step_other(self, draft: Draft, ready: list[AnyEvent]) -> None:
        match draft:
            case FinishChunk(reason):
                self._turn.steps[-1].finish = reason
            case events.Warning() if not self.started:
                # `started` must be first: warnings before it wait.
                self._early.append(draft)
            case Started():
                self._admit(draft, ready)
                early, self._early = self._early, []
                for warning in early:
                    self._admit(warning, ready)
            case _:
                self._admit(draft, ready)

    def _admit(self, event: AnyEvent, ready: list[AnyEvent]) -> bool:
        try:
            self._order.advance(event)
        except OutOfOrder as error:
            self._bus.publish(EventDropped(self._turn.id, error))
            return False
        ready.append(event)
        return True


def started_without_route(turn: Turn) -> Started:
    """Return the `started` event of a turn that no route has answered."""
    return Started(
        turn_id=turn.id,
        model=turn.request.model,
        provider=None,
        upstream_model=None,
        created_at=turn.created_at,
    )


async def persist(persister: Persister, inbox: Receiver[Draft]) -> None:
    """Run the actor: journal all drafts until the guard is done."""
    async for drafts in inbox:
        persister.step(drafts)
