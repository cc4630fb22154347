"""Queries for a turn's history: the chain of its predecessors, conversations, and single items.

Runs in the reader threads.
"""

from collections.abc import Iterable, Sequence
from itertools import count, takewhile
from sys import getsizeof
from typing import get_args

import sqlalchemy as sa

from store.database import tables
from store.database.tables import CONTINUABLE, LIVE, messages, turns
from store.records.turn_records import (
    ChainLink,
    ItemPlace,
    Lost,
    Principal,
    Role,
    TurnItems,
)

_TENANT = sa.bindparam("tenant", type_=sa.String)
_FIRST = sa.bindparam("first", type_=sa.String)
_LIMIT = sa.bindparam("most", type_=sa.Integer)
_NO_OPTIONS = "{}"
_input = messages.alias("input")
_answer = messages.alias("answer")


def chain(
    connection: sa.Connection, principal: Principal, turn_id: str, limit: int, max_bytes: int
) -> list[ChainLink]:
    """Return a turn and its predecessors by `previous_id`, oldest first, with one query.

    A chain that is longer than `limit` turns (at least 1), or takes more than `max_bytes` of
    memory, is cut to its newest turns, but always holds at least one; its first link then has a
    `previous_id`. A turn that is missing, deleted or stores no items is a link whose `lost` is
    set. Only the turn itself has its dialect options.
    """
    links: dict[int, ChainLink] = {}
    parameters = {"tenant": principal.tenant_id, "first": turn_id, "most": limit}
    for row in connection.execute(_LINKS, parameters):
        max_bytes -= sum(map(getsizeof, (row.input_items, row.answer_items, row.dialect_options)))
        if max_bytes < 0 and links:
            return _without_gaps(links)[::-1]
        links[row.depth] = _link(row)
    newest_first = _without_gaps(links)
    if len(newest_first) < limit:
        newest_first += _missing_link(newest_first[-1].previous_id if newest_first else turn_id)
    return newest_first[::-1]


def latest_turn_in(
    connection: sa.Connection, principal: Principal, conversation: str
) -> str | None:
    """Return the newest turn of a conversation that a new turn can continue, or None.

    That turn has ended, stores its text and is not deleted. A turn that ended without any answer
    is not part of its conversation (`store.turns.finalise`).
    """
    query = (
        sa.select(turns.c.id)
        .where(_in(principal, conversation), CONTINUABLE, turns.c.ended_at.is_not(None))
        .order_by(turns.c.id.desc())
        .limit(1)
    )
    return connection.scalar(query)


def conversation_live(connection: sa.Connection, principal: Principal, conversation: str) -> bool:
    """Return whether the conversation has an undeleted turn in flight, in any process."""
    live = sa.exists().where(_in(principal, conversation), LIVE, turns.c.deleted_at.is_(None))
    return bool(connection.scalar(sa.select(live)))


def turn_items(
    connection: sa.Connection,
    principal: Principal,
    wanted: Sequence[tuple[str, Role]],
    max_bytes: int,
) -> list[TurnItems]:
    """Return lists of items of turns that are stored and not deleted.

    Ends with the one with which they have more than `max_bytes` characters.
    """
    found: list[TurnItems] = []
    size = 0
    for role in get_args(Role):
        ids = [turn_id for turn_id, of in wanted if of == role]
        query = (
            sa.select(_answer.c.turn_id, _answer.c.role, _answer.c["items"])
            .join(turns, turns.c.id == _answer.c.turn_id)
            .where(
                _answer.c.turn_id.in_(ids),
                _answer.c.role == role,
                _answer.c["items"].is_not(None),
                turns.c.tenant_id == principal.tenant_id,
                turns.c.deleted_at.is_(None),
            )
        )
        for row in connection.execute(query) if ids else ():
            found.append(TurnItems(*row))
            size += len(found[-1].items)
            if size > max_bytes:
                return found
    return found


def item_places(
    connection: sa.Connection, principal: Principal, item_ids: Sequence[str]
) -> list[ItemPlace]:
    """Return the places of items whose ids do not name their turn, the oldest turn first."""
    ids = tables.item_ids.c
    query = (
        sa.select(ids.item_id, ids.turn_id, ids.role)
        .where(ids.tenant_id == principal.tenant_id, ids.item_id.in_(item_ids))
        .order_by(ids.turn_id)
    )
    return [ItemPlace(*row) for row in connection.execute(query)]


def _in(principal: Principal, conversation: str) -> sa.ColumnElement[bool]:
    return sa.and_(turns.c.tenant_id == principal.tenant_id, turns.c.conversation == conversation)


def _links() -> sa.Select[*tuple[object, ...]]:
    """Select the links with their depth, and their input and answer items if they have any."""
    links = _turns()
    return (
        sa.select(
            links, _input.c["items"].label("input_items"), _answer.c["items"].label("answer_items")
        )
        .select_from(links)
        .outerjoin(_input, sa.and_(_input.c.turn_id == links.c.id, _input.c.role == "input"))
        .outerjoin(_answer, sa.and_(_answer.c.turn_id == links.c.id, _answer.c.role == "assistant"))
    )


def _turns() -> sa.CTE:
    """Walk from a turn to its predecessors, at most `most` turns even if they form a cycle.

    `dialect_options` may hold all tools of a request, so they are read for the first turn only.
    No column stored behind them is read for the others, since SQLite would have to read through
    the options to reach it. `previous_id` comes from the index, and `deleted_at` is nearly always
    null, which takes no space in the row.
    """
    row = (turns.c.id, turns.c.previous_id, turns.c.status, turns.c.deleted_at, turns.c.dialect)
    links = (
        sa.select(*row, turns.c.dialect_options, sa.literal(0).label("depth"))
        .where(turns.c.id == _FIRST, turns.c.tenant_id == _TENANT)
        .cte("links", recursive=True)
    )
    # PostgreSQL requires the same column type in both halves of a recursive query.
    before = (
        sa.select(*row, sa.cast(sa.literal(_NO_OPTIONS), sa.Text), links.c.depth + 1)
        .join_from(
            links, turns, sa.and_(turns.c.id == links.c.previous_id, turns.c.tenant_id == _TENANT)
        )
        .where(links.c.depth + 1 < _LIMIT)
    )
    return links.union_all(before)


_LINKS = _links()


def _link(row: sa.Row[*tuple[object, ...]]) -> ChainLink:
    lost = _lost_reason(row)
    if lost is not None:
        return ChainLink(turn_id=row.id, lost=lost, previous_id=row.previous_id)
    return ChainLink(
        turn_id=row.id,
        previous_id=row.previous_id,
        status=row.status,
        dialect=row.dialect,
        dialect_options=row.dialect_options,
        input_items=row.input_items,
        answer_items=row.answer_items or "[]",
    )


def _lost_reason(row: sa.Row[*tuple[object, ...]]) -> Lost | None:
    if row.deleted_at is not None:
        return "deleted"
    return "not_kept" if row.input_items is None else None


def _missing_link(turn_id: str | None) -> Iterable[ChainLink]:
    """Return a link that stands in for a missing turn, or no link if the chain is complete."""
    return [] if turn_id is None else [ChainLink(turn_id=turn_id, lost="missing")]


def _without_gaps(links: dict[int, ChainLink]) -> list[ChainLink]:
    """Return the links from depth 0 up to the first gap.

    The database may return the rows in any order.
    """
    depths = takewhile(links.__contains__, count())
    return [links[depth] for depth in depths]
