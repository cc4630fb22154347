"""What later turns build on: the chain of turns before one, and conversations.

Runs in the reading threads.
"""

from collections.abc import Iterable
from itertools import count, takewhile
from sys import getsizeof

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    Integer,
    Row,
    Select,
    String,
    Text,
    and_,
    bindparam,
    cast,
    exists,
    literal,
    select,
)

from store.records import ChainLink, Lost
from store.tables import FOLLOWED, PLAYING, messages, turns

_TENANT = bindparam("tenant", type_=String)
_FIRST = bindparam("first", type_=String)
_MOST = bindparam("most", type_=Integer)
_NO_OPTIONS = "{}"
_asked = messages.alias("asked")
_said = messages.alias("said")


def chain(
    connection: Connection, tenant_id: str, turn_id: str, limit: int, most_bytes: int
) -> list[ChainLink]:
    """Read the turn and those before it, by `previous_id`, oldest first, in one query.

    Of a chain of more than `limit` turns, or that takes more than `most_bytes` in memory, the
    newest are read, and one at least: the first link then has a `previous_id`. An ancestor that
    is not there is a link too, and `lost`. Only the turn itself is read with its options.
    """
    taken: dict[int, ChainLink] = {}
    asked = {"tenant": tenant_id, "first": turn_id, "most": limit}
    for row in connection.execute(_LINKS, asked):
        most_bytes -= sum(map(getsizeof, (row.asked, row.said, row.dialect_options)))
        if most_bytes < 0 and taken:
            return _unbroken(taken)[::-1]
        taken[row.depth] = _link(row)
    links = _unbroken(taken)
    if len(links) < limit:
        links += _missing(links[-1].previous_id if links else turn_id)
    return links[::-1]


def latest_in(connection: Connection, tenant_id: str, conversation: str) -> str | None:
    """Find the newest turn of a conversation that has ended, keeps its text and is not deleted.

    Turns that ended without an answer have left it (`store.finals`).
    """
    query = (
        select(turns.c.id)
        .where(*_of(tenant_id, conversation), FOLLOWED, turns.c.ended_at.is_not(None))
        .order_by(turns.c.id.desc())
        .limit(1)
    )
    return connection.scalar(query)


def conversation_live(connection: Connection, tenant_id: str, conversation: str) -> bool:
    """Find out whether a turn of the conversation has not ended, and is not deleted."""
    query = select(
        exists().where(*_of(tenant_id, conversation), PLAYING, turns.c.deleted_at.is_(None))
    )
    return bool(connection.scalar(query))


def _of(tenant_id: str, conversation: str) -> tuple[ColumnElement[bool], ...]:
    return turns.c.tenant_id == tenant_id, turns.c.conversation == conversation


def _links() -> Select[*tuple[object, ...]]:
    """Select the links by depth, each with its items where there are such."""
    links = _turns()
    return (
        select(links, _asked.c["items"].label("asked"), _said.c["items"].label("said"))
        .select_from(links)
        .outerjoin(_asked, and_(_asked.c.turn_id == links.c.id, _asked.c.role == "input"))
        .outerjoin(_said, and_(_said.c.turn_id == links.c.id, _said.c.role == "assistant"))
    )


def _turns() -> CTE:
    """Walk from a turn to those before it; at most `most`, even if they went in a circle.

    The options, with the tools of a request in them, are taken of one turn, and of the others
    nothing that stands behind them in the row: that would cost as much to read as they do.
    `previous_id` comes from the index, and `deleted_at` is mostly null.
    """
    row = (turns.c.id, turns.c.previous_id, turns.c.status, turns.c.deleted_at, turns.c.dialect)
    links = (
        select(*row, turns.c.dialect_options, literal(0).label("depth"))
        .where(turns.c.id == _FIRST, turns.c.tenant_id == _TENANT)
        .cte("links", recursive=True)
    )
    # The cast is for PostgreSQL, which wants the type of the column in both halves.
    before = (
        select(*row, cast(literal(_NO_OPTIONS), Text), links.c.depth + 1)
        .join_from(
            links, turns, and_(turns.c.id == links.c.previous_id, turns.c.tenant_id == _TENANT)
        )
        .where(links.c.depth + 1 < _MOST)
    )
    return links.union_all(before)


_LINKS = _links()


def _link(row: Row[*tuple[object, ...]]) -> ChainLink:
    lost = _lost(row)
    if lost is not None:
        return ChainLink(turn_id=row.id, lost=lost, previous_id=row.previous_id)
    return ChainLink(
        turn_id=row.id,
        previous_id=row.previous_id,
        status=row.status,
        dialect=row.dialect,
        dialect_options=row.dialect_options,
        input_items=row.asked,
        answer_items=row.said or "[]",
    )


def _lost(row: Row[*tuple[object, ...]]) -> Lost | None:
    if row.deleted_at is not None:
        return "deleted"
    return "not_kept" if row.asked is None else None


def _missing(turn_id: str | None) -> Iterable[ChainLink]:
    """The link in the place of a turn that should be there; nothing where there should be none."""
    return [] if turn_id is None else [ChainLink(turn_id=turn_id, lost="missing")]


def _unbroken(taken: dict[int, ChainLink]) -> list[ChainLink]:
    """The links from the first on without a gap, in whatever order the database gave them."""
    depths = takewhile(taken.__contains__, count())
    return [taken[depth] for depth in depths]
