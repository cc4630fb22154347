"""The order of a turn's events, as a table.

`started` → anything of the answer → at most one `blocked` → exactly one `ended`.
"""

from enum import Enum, auto

from actors import events
from actors.events import AnyEvent


class Place(Enum):
    """Where a turn's journal stands."""

    EMPTY = auto()
    OPEN = auto()
    BLOCKED = auto()
    ENDED = auto()


_ANSWER = (
    events.Text,
    events.Reasoning,
    events.Refusal,
    events.ToolCallDelta,
    events.ToolCall,
    events.Warning,
    events.RouteChanged,
    events.Retry,
    events.Replace,
    events.Recovered,
)

TABLE: dict[Place, dict[type, Place]] = {
    Place.EMPTY: {events.Started: Place.OPEN},
    Place.OPEN: {
        **dict.fromkeys(_ANSWER, Place.OPEN),
        events.Blocked: Place.BLOCKED,
        events.Ended: Place.ENDED,
    },
    Place.BLOCKED: {events.Ended: Place.ENDED},
    Place.ENDED: {},
}
"""Every move that is allowed; all others are bugs."""


class OutOfOrder(Exception):
    """An event came where the table does not allow it."""


class Order:
    """Follows one journal through the table."""

    __slots__ = ("_moves", "place")

    def __init__(self) -> None:
        self.place = Place.EMPTY
        self._moves = TABLE[Place.EMPTY]

    def advance(self, event: AnyEvent) -> None:
        """Take the event; raises `OutOfOrder` and stays where it is if it may not come here."""
        there = self._moves.get(type(event))
        if there is None:
            name = type(event).__name__
            raise OutOfOrder(f"{name} may not follow in place {self.place.name}")
        if there is not self.place:
            self.place = there
            self._moves = TABLE[there]
