"""Event order: a state table of the events that may follow each other in a turn.

`started` → any events of the answer → at most one `blocked` → exactly one `ended`.
"""

from enum import Enum, auto

from actors.turn import events
from actors.turn.events import AnyEvent


class JournalState(Enum):
    """The state of a turn's journal."""

    EMPTY = auto()
    OPEN = auto()
    BLOCKED = auto()
    ENDED = auto()


_ANSWER = (
    events.Text,
    events.Reasoning,
    events.ReasoningState,
    events.Refusal,
    events.MessagePhase,
    events.Annotation,
    events.NativeItem,
    events.ToolCallDelta,
    events.ToolCall,
    events.Warning,
    events.RouteChanged,
    events.Retry,
    events.Replace,
    events.Recovered,
)

TABLE: dict[JournalState, dict[type, JournalState]] = {
    JournalState.EMPTY: {events.Started: JournalState.OPEN},
    JournalState.OPEN: {
        **dict.fromkeys(_ANSWER, JournalState.OPEN),
        events.Blocked: JournalState.BLOCKED,
        events.Ended: JournalState.ENDED,
    },
    JournalState.BLOCKED: {events.Ended: JournalState.ENDED},
    JournalState.ENDED: {},
}
"""All allowed transitions; any other is a bug."""


class OutOfOrder(Exception):
    """Raised for an event that the table does not allow in the current state."""


class EventOrder:
    """The current state of one journal."""

    __slots__ = ("_allowed", "place")

    def __init__(self) -> None:
        self.place = JournalState.EMPTY
        self._allowed = TABLE[JournalState.EMPTY]

    def advance(self, event: AnyEvent) -> None:
        """Advance by one event; raise `OutOfOrder` and keep the state if it is not allowed."""
        following = self._allowed.get(type(event))
        if following is None:
            name = type(event).__name__
            raise OutOfOrder(f"{name} is not allowed in state {self.place.name}")
        # Nearly all events keep the state, so the table lookup is skipped for them.
        if following is not self.place:
            self.place = following
            self._allowed = TABLE[following]
