"""Lifecycle events: facts about a turn as a whole that are published on the event bus.

The events of its answer are in `actors.turn.events`; clients read those from the journal.
"""

from msgspec import Struct

from actors.turn.outcome import GuardVerdict
from actors.turn.store_records import FinalRecord, Stored


class TurnEnded(Struct, frozen=True):
    """The end of a turn; storing its final record took `took_s` seconds."""

    record: FinalRecord
    stored: Stored
    took_s: float


class RecordUnsaved(Struct, frozen=True):
    """A final record that neither database nor spool took."""

    record: FinalRecord


class Trouble(Struct, frozen=True):
    """An error during a turn; another event reports its consequence for the turn."""

    turn_id: str
    error: BaseException


class StoreRefusal(Trouble, frozen=True):
    """An operation that the store or the spool refused."""


class EventDropped(Trouble, frozen=True):
    """An event that was dropped because the order table does not allow it: a bug."""


class ActorCrashed(Trouble, frozen=True):
    """An exception in an actor: a bug. The turn ends as `internal_error`."""


class GuardFailed(Struct, frozen=True):
    """A guard that raised: a bug. It blocked the answer if it could block, or was left out.

    `where` is the file and line. The error's message is missing, since it may quote the text.
    """

    turn_id: str
    guard: str
    error: str
    where: str


class GuardDecided(Struct, frozen=True):
    """A guard's decision to change, retry or block an answer."""

    turn_id: str
    verdict: GuardVerdict


LifecycleEvent = (
    TurnEnded
    | RecordUnsaved
    | StoreRefusal
    | EventDropped
    | ActorCrashed
    | GuardDecided
    | GuardFailed
)
