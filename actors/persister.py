"""Persister: puts the events in order, adds them to the turn's answer, and journals them.

The fourth actor of a turn. It feeds the answer, not the accumulator, because the guard is between
them. A turn counts as finished only if the finish has been consumed here, not if the streamer has
seen one.
"""

from collections.abc import Callable, Sequence
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
    """The state of the actor: event order, answer, and the results of the last step."""

    __slots__ = (
        "_answer",
        "_early",
        "_order",
        "added_bytes",
        "finish",
        "misplaced",
        "tail",
        "turn",
        "withdrawn",
    )

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self._answer = turn.answer
        self._order = EventOrder()
        self._early: list[AnyEvent] = []
        # Not a bound method of this object: it would form a reference cycle with the tail, which
        # keeps the journal in memory until a garbage collection.
        fenced = partial(turn.stop, Reason.OWNER_LOST)
        self.tail = Tail(turn.id, turn.owner, turn.journal.events, fenced)
        self.added_bytes = 0
        """Approximate bytes of the events."""
        self.finish: FinishChunk | None = None
        """Finish, or None if it was not among the drafts."""
        self.misplaced: tuple[OutOfOrder, ...] = ()
        """Errors for events that were dropped."""
        self.withdrawn = False
        """True if a draft of the last steps replaces the text that the journal has."""

    @property
    def started(self) -> bool:
        """True if `started` is in the journal."""
        return self._order.place is not JournalState.EMPTY

    def step(self, drafts: list[Draft]) -> list[AnyEvent]:
        """Add the events to the answer, and return them in the order for the journal."""
        self.finish = None
        self.misplaced = ()
        ready: list[AnyEvent] = []
        size = 0
        for draft in drafts:
            # Text, which nearly all events are, may always follow in an open journal.
            if type(draft) is Text and self._order.place is JournalState.OPEN:
                self._answer.add(draft)
                ready.append(draft)
                size += len(draft.delta)
            else:
                self._step_other(draft, ready)
        self.added_bytes = size + EVENT_OVERHEAD * len(ready)
        return ready

    def closing(self, ended: Ended) -> list[AnyEvent]:
        """Return the last events up to `ended`, without appending them to the journal."""
        last: list[AnyEvent] = []
        if not self.started:
            last.append(self.turn.started(None))
        last += self._early
        last.append(ended)
        return last

    def _step_other(self, draft: Draft, ready: list[AnyEvent]) -> None:
        match draft:
            case FinishChunk():
                self.finish = draft
                if self._order.place is JournalState.OPEN:
                    self._admit_all(self._answer.whole_calls(), ready)
            case events.Warning() if not self.started:
                # `started` must be first: warnings before it wait.
                self._early.append(draft)
            case Started():
                self._admit(draft, ready)
                early, self._early = self._early, []
                self._admit_all(early, ready)
            case events.Replace(text, reason):
                position = len(self.turn.journal.events) + len(ready)
                self._admit(events.Replace(text, reason, position), ready)
                self.withdrawn = True
            case _:
                self._admit(draft, ready)

    def _admit_all(self, more: Sequence[AnyEvent], ready: list[AnyEvent]) -> None:
        for event in more:
            self._admit(event, ready)

    def _admit(self, event: AnyEvent, ready: list[AnyEvent]) -> None:
        try:
            self._order.advance(event)
        except OutOfOrder as error:
            # Without its traceback, which would form a reference cycle with this object.
            self.misplaced += (error.with_traceback(None),)
        else:
            self._answer.add(event)
            ready.append(event)


def record(
    persister: Persister, checkpointer: Checkpointer, bus: EventBus, drafts: list[Draft]
) -> None:
    """Process drafts: journal their events, and record the finish in the turn's last step."""
    turn = persister.turn
    ready = persister.step(drafts)
    if ready:
        turn.journal.append(ready)
        if persister.withdrawn:
            # Later readers, and the store, get the replacement and not the text.
            turn.journal.withdraw_text()
            persister.withdrawn = False
            persister.tail.rewritten = True
            checkpointer.forget(persister.tail)
        elif turn.request.keep_text and not persister.tail.rewritten:
            checkpointer.mark(persister.tail, persister.added_bytes)
    if persister.finish is not None:
        turn.steps[-1].finish = persister.finish.reason
        turn.steps[-1].stop_sequence = persister.finish.stop_sequence
    for error in persister.misplaced:
        bus.publish(EventDropped(turn.id, error))


async def persist(record: Callable[[list[Draft]], None], inbox: Receiver[Draft]) -> None:
    """Run the actor: call the turn's `record` with all drafts until the guard is done."""
    async for drafts in inbox:
        record(drafts)
