"""What a turn needs from storage. `actors` knows the store by these protocols only."""

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
    """A turn's storage. A cancelled caller is harmless: its request is still carried out whole."""

    async def begin(self, turn: NewTurn) -> None:
        """Insert the turn as `in_progress`; raises `StoreUnavailable`, `ConversationBusy`."""

    async def checkpoint(self, segments: Sequence[Segment]) -> frozenset[str]:
        """Append segments, each only while its owner still owns its turn and it is not final.

        Returns the ids of the turns that were fenced off; raises `StoreUnavailable`.
        """

    async def finalise(self, record: FinalRecord) -> Finalised:
        """Write the terminal record in one transaction, if the turn is not terminal yet.

        Inserts the turn too where `begin` never arrived. Raises `StoreUnavailable`.
        """

    async def spool(self, record: FinalRecord) -> None:
        """Keep the record in the local spool, fsynced, to be finalised later.

        Raises `SpoolFailed`.
        """

    async def orphans(self) -> Sequence[TurnView]:
        """The turns in flight whose owner is gone; raises `StoreUnavailable`."""

    async def segments(self, turn_id: str) -> Sequence[Segment]:
        """The kept segments of a turn, in order; raises `StoreUnavailable`."""
