"""Records that a turn leaves in the store, re-exported so that `actors` names the store once."""

from store.records.turn_records import (
    AttemptRecord,
    ConversationBusy,
    Finalised,
    FinalRecord,
    NewTurn,
    Principal,
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
    "Principal",
    "Segment",
    "SpoolFailed",
    "StepRecord",
    "StoreUnavailable",
    "Stored",
    "TurnView",
    "UsageRecord",
]
