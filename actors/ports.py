"""Storage interface of a turn, and the only module of `actors` that imports the store."""

from collections.abc import Sequence
from typing import Protocol

from store.records import (
    AttemptRecord,
    ConversationBusy,
    Finalised,
    FinalRecord,
    NewTurn,
    Segment,
    SpoolFailed,
    StepRecord,
    Stored,
    StoreUnavailable,
    TurnView,
    UsageRecord,
)

__all__ = [
    "AttemptRecord",
    "ConversationBusy",
    "FinalRecord",
    "Finalised",
    "NewTurn",
    "Segment",
    "SpoolFailed",
    "StepRecord",
    "StoreUnavailable",
    "Stored",
    "TurnStore",
    "TurnView",
    "UsageRecord",
]


class TurnStore(Protocol):
    """Storage of turns. A request is carried out completely even if its caller is cancelled."""

    async def begin(self, turn: NewTurn) -> None:
        """Insert the turn as `in_progress`; raises `StoreUnavailable`, `ConversationBusy`."""

    async def checkpoint(self, segments: Sequence[Segment]) -> frozenset[str]:
        """Append segments, each only while its owner still owns its turn and it is not final.

        Returns the ids of the turns that were fenced off; raises `StoreUnavailable`.
        """

    async def finalise(self, record: FinalRecord) -> Finalised:
        """Write the terminal record in one transaction, if the turn is not terminal yet.

        Inserts the turn too if `begin` was never written. Raises `StoreUnavailable`.
        """

    async def spool(self, record: FinalRecord) -> None:
        """Keep the record in the local spool, fsynced, to be finalised later.

        Raises `SpoolFailed`.
        """

    async def orphans(self) -> Sequence[TurnView]:
        """Return the turns in progress whose owner is gone; raises `StoreUnavailable`."""

    async def segments(self, turn_id: str) -> Sequence[Segment]:
        """Return the stored segments of a turn in order; raises `StoreUnavailable`."""
