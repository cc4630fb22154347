"""Queries for turns, their journals and their items. Runs in the reader threads."""

from collections.abc import Sequence
from typing import cast

from msgspec import json
from sqlalchemy import Connection, RowMapping, Select, and_, exists, func, select

from store.database.tables import messages, turn_attempts, turn_segments, turns, usage_records
from store.records.turn_records import (
    AttemptRecord,
    Segment,
    StoredResponse,
    TurnPage,
    TurnView,
    UsageRecord,
)
from store.turns.writes import IN_FLIGHT

_OPTIONS_DECODER = json.Decoder(dict[str, object])
_USAGE = (
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "reasoning_tokens",
    "estimated",
    "cost_micros",
)
_SHARED_COLUMNS = (
    "id",
    "tenant_id",
    "owner",
    "status",
    "reason",
    "disconnect_stage",
    "model",
    "provider",
    "upstream_model",
    "mode",
    "dialect",
    "keep_text",
    "error",
    "created_at",
    "first_token_at",
    "ended_at",
    "epoch",
    "previous_id",
    "conversation",
    "deleted_at",
)
_input = messages.alias("input")
_input_of_turn = and_(_input.c.turn_id == turns.c.id, _input.c.role == "input")

View = Select[*tuple[object, ...]]


def get_turn(connection: Connection, tenant_id: str, turn_id: str) -> TurnView | None:
    """Read one turn with its attempts; None if the tenant has no such turn."""
    query = _views().where(turns.c.tenant_id == tenant_id, turns.c.id == turn_id)
    row = connection.execute(query).mappings().first()
    return None if row is None else _view(row, _attempts(connection, turn_id))


def response(connection: Connection, tenant_id: str, turn_id: str) -> StoredResponse | None:
    """Read one turn with its items; None if the tenant has no such turn or it keeps no items."""
    answer_items = messages.c["items"].label("answer_items")
    input_items = _input.c["items"].label("input_items")
    query = (
        _views()
        .add_columns(answer_items, input_items)
        .join(_input, _input_of_turn)
        .where(turns.c.tenant_id == tenant_id, turns.c.id == turn_id)
    )
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    answer = row["answer_items"] or "[]"
    return StoredResponse(turn=_view(row), input_items=row["input_items"], answer_items=answer)


def list_turns(
    connection: Connection, tenant_id: str, limit: int, status: str | None, cursor: str | None
) -> TurnPage:
    """Read a page of a tenant's turns, newest first, without their attempts."""
    query = _views().where(turns.c.tenant_id == tenant_id)
    if status is not None:
        query = query.where(turns.c.status == status)
    if cursor is not None:
        query = query.where(turns.c.id < cursor)
    query = query.order_by(turns.c.id.desc()).limit(limit + 1)
    found = [_view(row) for row in connection.execute(query).mappings()]
    data = tuple(found[:limit])
    return TurnPage(data=data, next=data[-1].id if len(found) > limit else None)


def owners_in_flight(connection: Connection) -> frozenset[str]:
    """Read the ids of all owners that have turns in flight."""
    return frozenset(connection.scalars(select(turns.c.owner).where(IN_FLIGHT).distinct()))


def turns_in_flight(connection: Connection, owner: str) -> list[TurnView]:
    """Read the turns of `owner` that are not final, oldest first."""
    query = _views().where(IN_FLIGHT, turns.c.owner == owner).order_by(turns.c.id)
    return [_view(row) for row in connection.execute(query).mappings()]


def segments(connection: Connection, turn_id: str) -> list[Segment]:
    """Read the stored segments of a turn's journal, in order."""
    kept = turn_segments.c
    query = (
        select(kept.turn_id, turns.c.owner, kept.first_seq, kept.last_seq, kept.blob)
        .join(turns, turns.c.id == kept.turn_id)
        .where(kept.turn_id == turn_id)
        .order_by(kept.first_seq)
    )
    return [Segment(*row) for row in connection.execute(query)]


def _views() -> View:
    """Select turns with text and usage. In flight, `last_event` is that of the last segment."""
    inputs = messages.alias("inputs")
    keeps_items = exists().where(inputs.c.turn_id == turns.c.id, inputs.c.role == "input")
    last_kept = (
        select(func.max(turn_segments.c.last_seq))
        .where(turn_segments.c.turn_id == turns.c.id)
        .scalar_subquery()
    )
    answer = and_(messages.c.turn_id == turns.c.id, messages.c.role == "assistant")
    query = (
        select(
            *(turns.c[name] for name in _SHARED_COLUMNS),
            turns.c.dialect_options,
            func.coalesce(turns.c.last_event, last_kept).label("last_event"),
            messages.c.text,
            keeps_items.label("keeps_items"),
            *(usage_records.c[name] for name in _USAGE),
        )
        .outerjoin(messages, answer)
        .outerjoin(usage_records, usage_records.c.turn_id == turns.c.id)
    )
    return cast("View", query)


def _view(row: RowMapping, attempts: tuple[AttemptRecord, ...] = ()) -> TurnView:
    return TurnView(
        **{name: row[name] for name in _SHARED_COLUMNS},
        dialect_options=_OPTIONS_DECODER.decode(row["dialect_options"]),
        usage=_usage(row),
        text=row["text"] or "",
        last_event=row["last_event"],
        attempts=attempts,
        keeps_items=bool(row["keeps_items"]),
    )


def _usage(row: RowMapping) -> UsageRecord | None:
    if row["input_tokens"] is None:
        return None
    return UsageRecord(**{name: row[name] for name in _USAGE})


def _attempts(connection: Connection, turn_id: str) -> tuple[AttemptRecord, ...]:
    columns: Sequence[str] = AttemptRecord.__struct_fields__
    query = (
        select(*(turn_attempts.c[name] for name in columns))
        .where(turn_attempts.c.turn_id == turn_id)
        .order_by(turn_attempts.c.step, turn_attempts.c.number)
    )
    rows = connection.execute(query).mappings()
    return tuple(AttemptRecord(**{name: row[name] for name in columns}) for row in rows)
