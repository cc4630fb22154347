"""Interface for reporting turn events to metrics and logs."""

from typing import Protocol

from actors.turn.event_order import OutOfOrder
from actors.turn.state import Turn
from actors.turn.store_records import FinalRecord, Stored


class Observer(Protocol):
    """A receiver of turn events whose methods are cheap and synchronous and never raise."""

    def turn_ended(self, turn: Turn, record: FinalRecord, stored: Stored, took_s: float) -> None:
        """Report the end of a turn; storing its final record took `took_s` seconds."""

    def unsaved(self, record: FinalRecord) -> None:
        """Report a record that neither database nor spool took; log it completely."""

    def store_trouble(self, turn_id: str, error: Exception) -> None:
        """Report a refusal by the store or the spool; another call reports the consequence."""

    def event_out_of_order(self, turn_id: str, error: OutOfOrder) -> None:
        """Report an event that was dropped because the order table does not allow it: a bug."""

    def crashed(self, turn_id: str, error: BaseException) -> None:
        """Report an exception in an actor: a bug. The turn ends as `internal_error`."""
