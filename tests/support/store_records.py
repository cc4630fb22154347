"""Builders of store records with defaults for the fields that a test does not care about."""

from itertools import count

from msgspec.structs import replace

from store.records.ids import new_id
from store.records.turn_records import (
    AttemptRecord,
    FinalRecord,
    NewTurn,
    Principal,
    Segment,
    StepRecord,
    UsageRecord,
)

TENANT = "tenant_default"
CALLER = Principal(tenant_id=TENANT)
MAX_BYTES = 1 << 20
"""A memory limit that no chain of a test exceeds."""
_SECONDS = count(1)
"""Creation times of turns: one second apart, because ids of one millisecond have no order."""


def a_turn(
    owner: str, *, id: str | None = None, tenant: str = TENANT, keep_text: bool = True
) -> NewTurn:
    """Return a turn that `owner` is about to begin."""
    return NewTurn(
        id=id or new_id("turn_", next(_SECONDS)),
        tenant_id=tenant,
        owner=owner,
        model="gpt-large",
        mode="attached",
        dialect="openai-chat",
        dialect_options={"include_usage": True},
        created_at=1000.0,
        keep_text=keep_text,
    )


def a_response(
    owner: str,
    previous: str | None = None,
    *,
    conversation: str | None = None,
    items: str | None = '["asked"]',
    tenant: str = TENANT,
    keep_text: bool = True,
) -> NewTurn:
    """Return a turn that stores its items and continues the turn `previous`."""
    return replace(
        a_turn(owner, tenant=tenant, keep_text=keep_text),
        dialect="openai-responses",
        dialect_options={"echo": {"instructions": "Be nice."}},
        previous_id=previous,
        conversation=conversation,
        input_items=items,
    )


def a_segment(turn: NewTurn, first: int = 0, last: int = 9, blob: bytes = b"events") -> Segment:
    """Return a segment with the events `first` … `last` of the turn."""
    return Segment(turn.id, turn.owner, first, last, blob)


def an_end(
    turn: NewTurn,
    *,
    status: str = "completed",
    reason: str = "stop",
    text: str = "Hello",
    tool_calls: str | None = None,
    items: str | None = None,
    segment: Segment | None = None,
    ended_at: float = 1002.0,
) -> FinalRecord:
    """Return the final record of a turn with one step and one successful attempt."""
    attempt = AttemptRecord(
        number=1,
        provider="openai",
        upstream_model="gpt-5.2",
        started_at=1000.1,
        ended_at=1001.9,
        result="answered",
        status_code=200,
        input_tokens=7,
        output_tokens=2,
    )
    return FinalRecord(
        turn=turn,
        status=status,
        reason=reason,
        disconnect_stage=None,
        provider="openai",
        upstream_model="gpt-5.2",
        usage=UsageRecord(input_tokens=7, output_tokens=2, cost_micros=31),
        text=text,
        tool_calls=tool_calls,
        items=items,
        error=None,
        first_token_at=1000.5,
        ended_at=ended_at,
        last_event=12,
        epoch=0,
        segment=segment,
        steps=(
            StepRecord(
                number=1, started_at=1000.1, ended_at=1001.9, finish="stop", attempts=(attempt,)
            ),
        ),
    )


def caller(tenant_id: str) -> Principal:
    """Return a caller of this tenant."""
    return Principal(tenant_id=tenant_id)
