"""Queries for turns, their journals and their items. Runs in the reader threads."""

from collections.abc import Callable
from typing import cast

import sqlalchemy as sa
from msgspec import json

from store.database.tables import messages, turn_attempts, turn_segments, turns, usage_records
from store.records.turn_records import (
    AttemptRecord,
    Principal,
    Segment,
    StoredResponse,
    TurnPage,
    TurnView,
    UsageRecord,
)
from store.turns.writes import IN_FLIGHT

_OPTIONS_DECODER = json.Decoder(dict[str, object])
_TURN_COLUMNS = [name for name in TurnView.__struct_fields__ if name in turns.c]
_USAGE = UsageRecord.__struct_fields__
_input = messages.alias("input")
_input_of_turn = sa.and_(_input.c.turn_id == turns.c.id, _input.c.role == "input")

View = sa.Select[*tuple[object, ...]]


def get_turn(connection: sa.Connection, principal: Principal, turn_id: str) -> TurnView | None:
    """Return one turn with its attempts; None if the tenant has no such turn."""
    query = _views().where(turns.c.tenant_id == principal.tenant_id, turns.c.id == turn_id)
    row = connection.execute(query).mappings().first()
    return None if row is None else _view(row, _attempts(connection, turn_id))


def response(
    connection: sa.Connection, principal: Principal, turn_id: str
) -> StoredResponse | None:
    """Return one turn with its items, also while it is in flight.

    None if the tenant has no such turn, or the turn is deleted or stores no items.
    """
    answer_items = messages.c["items"].label("answer_items")
    input_items = _input.c["items"].label("input_items")
    query = (
        _views()
        .add_columns(answer_items, input_items)
        .join(_input, _input_of_turn)
        .where(turns.c.tenant_id == principal.tenant_id, turns.c.id == turn_id)
    )
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    answer = row["answer_items"] or "[]"
    return StoredResponse(turn=_view(row), input_items=row["input_items"], answer_items=answer)


def list_turns(
    connection: sa.Connection,
    principal: Principal,
    *,
    limit: int,
    status: str | None = None,
    cursor: str | None = None,
) -> TurnPage:
    """Return a page of at most `limit` turns, newest first, without their attempts.

    `cursor` is the `next` of the previous page.
    """
    query = _views().where(turns.c.tenant_id == principal.tenant_id)
    if status is not None:
        query = query.where(turns.c.status == status)
    if cursor is not None:
        query = query.where(turns.c.id < cursor)
    query = query.order_by(turns.c.id.desc()).limit(limit + 1)
    found = [_view(row) for row in connection.execute(query).mappings()]
    data = tuple(found[:limit])
    return TurnPage(data=data, next=data[-1].id if len(found) > limit else None)


def orphans(connection: sa.Connection, is_alive: Callable[[str], bool]) -> list[TurnView]:
    """Read the turns that are not final of all owners that are not alive."""
    owners = connection.scalars(sa.select(turns.c.owner).where(IN_FLIGHT).distinct()).all()
    dead = [owner for owner in owners if not is_alive(owner)]
    return [turn for owner in dead for turn in turns_in_flight(connection, owner)]


def turns_in_flight(connection: sa.Connection, owner: str) -> list[TurnView]:
    """Read the turns of `owner` that are not final, oldest first."""
    query = _views().where(IN_FLIGHT, turns.c.owner == owner).order_by(turns.c.id)
    return [_view(row) for row in connection.execute(query).mappings()]


def segments(connection: sa.Connection, turn_id: str) -> list[Segment]:
    """Return the stored segments of a turn's journal, in order; none if it was swept."""
    kept = turn_segments.c
    query = (
        sa.select(kept.turn_id, turns.c.owner, kept.first_seq, kept.last_seq, kept.blob)
        .join(turns, turns.c.id == kept.turn_id)
        .where(kept.turn_id == turn_id)
        .order_by(kept.first_seq)
    )
    return [Segment(*row) for row in connection.execute(query)]


def _views() -> View:
    """Select turns with text and usage. In flight, `last_event` is that of the last segment."""
    inputs = messages.alias("inputs")
    keeps_items = sa.exists().where(inputs.c.turn_id == turns.c.id, inputs.c.role == "input")
    last_kept = (
        sa.select(sa.func.max(turn_segments.c.last_seq))
        .where(turn_segments.c.turn_id == turns.c.id)
        .scalar_subquery()
    )
    answer = sa.and_(messages.c.turn_id == turns.c.id, messages.c.role == "assistant")
    query = (
        sa.select(
            *(turns.c[name] for name in _TURN_COLUMNS if name != "last_event"),
            sa.func.coalesce(turns.c.last_event, last_kept).label("last_event"),
            messages.c.text,
            keeps_items.label("keeps_items"),
            *(usage_records.c[name] for name in _USAGE),
        )
        .outerjoin(messages, answer)
        .outerjoin(usage_records, usage_records.c.turn_id == turns.c.id)
    )
    return cast("View", query)


def _view(row: sa.RowMapping, attempts: tuple[AttemptRecord, ...] = ()) -> TurnView:
    values = {name: row[name] for name in _TURN_COLUMNS}
    values["dialect_options"] = _OPTIONS_DECODER.decode(row["dialect_options"])
    return TurnView(
        **values,
        usage=_usage(row),
        text=row["text"] or "",
        attempts=attempts,
        keeps_items=bool(row["keeps_items"]),
    )


def _usage(row: sa.RowMapping) -> UsageRecord | None:
    if row["input_tokens"] is None:
        return None
    # A column that is newer than the row is null there.
    return UsageRecord(**{name: row[name] for name in _USAGE if row[name] is not None})


def _attempts(connection: sa.Connection, turn_id: str) -> tuple[AttemptRecord, ...]:
    query = (
        sa.select(*(turn_attempts.c[name] for name in AttemptRecord.__struct_fields__))
        .where(turn_attempts.c.turn_id == turn_id)
        .order_by(turn_attempts.c.step, turn_attempts.c.number)
    )
    return tuple(AttemptRecord(**row) for row in connection.execute(query).mappings())
