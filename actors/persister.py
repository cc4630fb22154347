"""The persister: numbers the events, journals them, and writes the one final record.

Fourth actor of a turn. Here, and nowhere else, it is decided how a turn ended: by whether the
finish has been consumed here, not by what the streamer saw.
"""

from functools import partial

from actors import events
from actors.accumulator import Draft
from actors.checkpointer import Checkpointer, Tail
from actors.chunks import FinishChunk
from actors.events import AnyEvent, Ended, Started, Text
from actors.links import Receiver
from actors.observer import Observer
from actors.order import Order, OutOfOrder, Place
from actors.outcome import Reason
from actors.turn import Turn

EVENT_OVERHEAD = 24
"""About what an event takes in a segment besides its text."""


class Persister:
    """Pure step of the actor: order, numbers, journal, and what the final record needs."""

    __slots__ = (
        "_checkpointer",
        "_early",
        "_observer",
        "_order",
        "_text",
        "_turn",
        "finish",
        "tail",
        "tool_calls",
    )

    def __init__(self, turn: Turn, checkpointer: Checkpointer, observer: Observer) -> None:
        self._turn = turn
        self._checkpointer = checkpointer
        self._observer = observer
        self._order = Order()
        self._early: list[AnyEvent] = []
        self._text: list[str] = []
        # Not a method of ours: the tail is, and a cycle would keep the journal until a collection.
        fenced = partial(turn.stop, Reason.OWNER_LOST)
        self.tail = Tail(turn.id, turn.owner, turn.journal.events, fenced)
        self.finish: Reason | None = None
        self.tool_calls: list[events.ToolCall] = []

    @property
    def text(self) -> str:
        """The visible text that has been journalled."""
        return "".join(self._text)

    @property
    def started(self) -> bool:
        """Whether `started` is in the journal."""
        return self._order.place is not Place.EMPTY

    def step(self, drafts: list[Draft]) -> None:
        """Journal what is an event, remember what is not."""
        ready: list[AnyEvent] = []
        size = 0
        for draft in drafts:
            if type(draft) is Text:
                if self._admit(draft, ready):
                    self._text.append(draft.delta)
                    size += len(draft.delta)
            else:
                self._rarer(draft, ready)
        if ready:
            self._turn.journal.append(ready)
            if self._turn.request.keep_text:
                self._checkpointer.mark(self.tail, size + EVENT_OVERHEAD * len(ready))

    def closing(self, ended: Ended) -> list[AnyEvent]:
        """The last events of the journal, `ended` among them; not journalled yet."""
        last: list[AnyEvent] = []
        if not self.started:
            last.append(unanswered(self._turn))
        last += self._early
        last.append(ended)
        return last

    def _rarer(self, draft: Draft, ready: list[AnyEvent]) -> None:
        match draft:
            case FinishChunk(reason):
                self.finish = reason
            case events.Warning() if not self.started:
                self._early.append(draft)
            case Started():
                self._admit(draft, ready)
                early, self._early = self._early, []
                for warning in early:
                    self._admit(warning, ready)
            case _:
                if self._admit(draft, ready):
                    self._keep(draft)

    def _admit(self, event: AnyEvent, ready: list[AnyEvent]) -> bool:
        try:
            self._order.advance(event)
        except OutOfOrder as error:
            self._observer.disorder(self._turn.id, error)
            return False
        ready.append(event)
        return True

    def _keep(self, event: AnyEvent) -> None:
        match event:
            case events.Replace(text):
                self._text = [text]
            case events.Retry():
                self._text = []
                self.tool_calls = []
            case events.ToolCall():
                self.tool_calls.append(event)
            case _:
                pass


def unanswered(turn: Turn) -> Started:
    """The beginning of a turn that no route has answered."""
    return Started(
        turn_id=turn.id,
        model=turn.request.model,
        provider=None,
        upstream_model=None,
        created_at=turn.created_at,
    )


async def persist(persister: Persister, inbox: Receiver[Draft]) -> None:
    """The actor: journal everything that comes, until the guard is done."""
    async for drafts in inbox:
        persister.step(drafts)
