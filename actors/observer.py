"""Who is told what metrics and logs want to know of turns."""

from typing import Protocol

from actors.order import OutOfOrder
from actors.ports import FinalRecord, Stored
from actors.turn import Turn


class Observer(Protocol):
    """Every method is cheap, synchronous and never raises."""

    def turn_ended(self, turn: Turn, record: FinalRecord, stored: Stored, took_s: float) -> None:
        """The terminal record of a turn is decided; finalising it took `took_s` seconds."""

    def unsaved(self, record: FinalRecord) -> None:
        """Neither database nor spool took this record: it must go whole into the log."""

    def store_trouble(self, turn_id: str, error: Exception) -> None:
        """The store or the spool refused something; what that means follows in another call."""

    def disorder(self, turn_id: str, error: OutOfOrder) -> None:
        """An event was dropped because the order table does not allow it: a bug."""

    def crashed(self, turn_id: str, error: BaseException) -> None:
        """An actor raised: a bug. The turn is ended as `internal_error`."""
