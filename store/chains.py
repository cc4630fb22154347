"""What later turns build on: the chain of turns before one, and conversations.

Runs in the reading threads.
"""

from collections.abc import Iterable

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    Integer,
    Row,
    Select,
    String,
    and_,
    bindparam,
    cast,
    exists,
    literal,
    select,
)

from store.records import ChainLink, Lost
from store.tables import FOLLOWED, PLAYING, messages, turns

MOST_CHARS = 64 * 1024 * 1024
"""What is read of one chain: more than any model takes, and less than would exhaust memory."""

_TENANT = bindparam("tenant", type_=String)
_FIRST = bindparam("first", type_=String)
_MOST = bindparam("most", type_=Integer)
_asked = messages.alias("asked")
_said = messages.alias("said")


def chain(
    connection: Connection, tenant_id: str, turn_id: str, limit: int, most_chars: int = MOST_CHARS
) -> list[ChainLink]:
    """Read the turn and those before it, by `previous_id`, oldest first, in one query.

    Of a chain of more than `limit` turns or `most_chars` characters the newest are read: the
    first link then has a `previous_id`. An ancestor that is not there is a link too, and `lost`.
    """
    taken: dict[int, ChainLink] = {}
    asked = {"tenant": tenant_id, "first": turn_id, "most": limit}
    for row in connection.execute(_LINKS, asked):
        most_chars -= len(row.asked or "") + len(row.said or "") + len(row.dialect_options or "")
        if most_chars < 0 and taken:
            break
        taken[row.depth] = _link(row)
    return list(_unbroken(taken))[::-1]


def latest_in(connection: Connection, tenant_id: str, conversation: str) -> str | None:
    """Find the newest turn of a conversation that has ended, keeps its text and is not deleted."""
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
    """Select the links by depth, each with its turn and its items where there are such."""
    links = _ids()
    turn = and_(turns.c.id == links.c.id, turns.c.tenant_id == _TENANT)
    return (
        select(
            links.c.id,
            links.c.depth,
            turns.c.status,
            turns.c.previous_id,
            turns.c.deleted_at,
            turns.c.dialect,
            turns.c.dialect_options,
            _asked.c["items"].label("asked"),
            _said.c["items"].label("said"),
        )
        .select_from(links)
        .outerjoin(turns, turn)
        .outerjoin(_asked, and_(_asked.c.turn_id == turns.c.id, _asked.c.role == "input"))
        .outerjoin(_said, and_(_said.c.turn_id == turns.c.id, _said.c.role == "assistant"))
    )


def _ids() -> CTE:
    """Walk from a turn to those before it; at most `most` ids, even if they went in a circle."""
    # The cast is for PostgreSQL, which wants the type of the column in both halves.
    links = select(cast(_FIRST, String).label("id"), literal(0).label("depth")).cte(
        "links", recursive=True
    )
    before = (
        select(turns.c.previous_id, links.c.depth + 1)
        .join(turns, and_(turns.c.id == links.c.id, turns.c.tenant_id == _TENANT))
        .where(turns.c.previous_id.is_not(None), links.c.depth + 1 < _MOST)
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
    if row.status is None:
        return "missing"
    if row.deleted_at is not None:
        return "deleted"
    return "not_kept" if row.asked is None else None


def _unbroken(taken: dict[int, ChainLink]) -> Iterable[ChainLink]:
    """The links from the first on without a gap, in whatever order the database gave them."""
    depth = 0
    while depth in taken:
        yield taken[depth]
        depth += 1
