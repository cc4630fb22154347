"""Writes turns in flight: their first rows and their segments. Runs in the writer's thread."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import sqlalchemy as sa
from msgspec import json
from msgspec.structs import asdict
from sqlalchemy.engine.interfaces import DBAPICursor

from store.database import tables
from store.database.backend import Backend
from store.database.group_commit import Priority, Work
from store.database.prepared_statements import Prepare, Values
from store.records.ids import new_id
from store.records.turn_records import NewTurn, Role, Segment

# Literals instead of parameters, because `IN` with parameters is expanded at each execution and
# could not be compiled once.
IN_FLIGHT = tables.turns.c.status.in_(
    [sa.literal_column("'queued'"), sa.literal_column("'in_progress'")]
)

BEGINNING = (*(n for n in NewTurn.__struct_fields__ if n in tables.turns.c), "status", "epoch")
"""Columns that are set when a turn begins; all others are null until it ends."""


def is_owned() -> sa.ColumnElement[bool]:
    """Return a condition: `the_owner` owns the turn `the_turn`, and the turn is not final."""
    turns = tables.turns.c
    return sa.and_(
        turns.id == sa.bindparam("the_turn"), turns.owner == sa.bindparam("the_owner"), IN_FLIGHT
    )


def insert_turn(columns: Iterable[str]) -> sa.Insert:
    """Build an insert of a turn with these columns as parameters."""
    return sa.insert(tables.turns).values({name: sa.bindparam(name) for name in columns})


def row_of(turn: NewTurn) -> dict[str, object]:
    """Return the row of a turn that begins."""
    options = json.encode(turn.dialect_options).decode()
    return asdict(turn) | {"status": "in_progress", "epoch": 0, "dialect_options": options}


def input_rows(turns: Iterable[NewTurn]) -> Iterator[Values]:
    """Yield a message row with the input items of each turn that stores items."""
    for turn in turns:
        if turn.input_items is not None and turn.keep_text:
            yield message_row(turn, "input", turn.created_at, items=turn.input_items)


def id_rows(turn: NewTurn, ids: Iterable[str], role: Role) -> Iterator[Values]:
    """Yield the rows of ids by which items of a turn can be found."""
    for id in dict.fromkeys(ids):
        yield {"tenant_id": turn.tenant_id, "item_id": id, "turn_id": turn.id, "role": role}


def input_id_rows(turns: Iterable[NewTurn]) -> Iterator[Values]:
    """Yield the rows of the ids of input items."""
    for turn in turns:
        if turn.keep_text:
            yield from id_rows(turn, turn.input_ids, "input")


def message_row(
    turn: NewTurn,
    role: str,
    created_at: float,
    *,
    text: str = "",
    tool_calls: str | None = None,
    items: str | None,
) -> Values:
    """Return the row of a turn's input or answer."""
    return {
        "id": new_id("msg_", created_at),
        "tenant_id": turn.tenant_id,
        "session_id": turn.session_id,
        "turn_id": turn.id,
        "role": role,
        "text": text,
        "tool_calls": tool_calls,
        "created_at": created_at,
        "items": items,
    }


class TurnWrites:
    """Writes that begin and checkpoint many turns at once.

    `clock` returns the creation time of segments, in seconds since the epoch.
    """

    def __init__(self, prepare: Prepare, backend: Backend, clock: Callable[[], float]) -> None:
        self.begin = Work("turns.begin", Priority.CREATE, self._begin)
        self.checkpoint = Work("turns.checkpoint", Priority.APPEND, self._checkpoint)
        self._clock = clock
        self._insert = prepare(insert_turn(BEGINNING))
        self._input = prepare(sa.insert(tables.messages))
        self._ids = prepare(sa.insert(tables.item_ids))
        self._conversation_busy = prepare(_conversation_busy())
        self._owned = prepare(sa.select(tables.turns.c.id).where(is_owned()))
        self._append = prepare(backend.insert_or_extend(tables.turn_segments, _fenced_row()))

    def _begin(self, cursor: DBAPICursor, turns: Sequence[NewTurn]) -> Sequence[bool]:
        """Insert the turns as `in_progress`, except those whose conversation is busy.

        Return for each turn whether it was inserted.
        """
        independent = [turn for turn in turns if turn.conversation is None]
        self._insert.run_many(cursor, map(row_of, independent))
        begun = [*independent, *filter(partial(self._begin_in_conversation, cursor), turns)]
        self._input.run_many(cursor, input_rows(begun))
        self._ids.run_many(cursor, input_id_rows(begun))
        ids = {turn.id for turn in begun}
        return [turn.id in ids for turn in turns]

    def _begin_in_conversation(self, cursor: DBAPICursor, turn: NewTurn) -> bool:
        """Insert a turn of a conversation unless the conversation is busy.

        SQLite runs one write transaction at a time, so the check and the insert are atomic. With
        PostgreSQL another process could run the same check at the same moment.
        """
        row = row_of(turn)
        if turn.conversation is None or self._conversation_busy.first(cursor, row) is not None:
            return False
        self._insert.run(cursor, row)
        return True

    def _checkpoint(
        self, cursor: DBAPICursor, requests: Sequence[Sequence[Segment]]
    ) -> Sequence[frozenset[str]]:
        """Append the segments of each request; return for each the turns that were fenced off."""
        segments = [segment for request in requests for segment in request]
        now = self._clock()
        written = self._append.run_many(cursor, [_row(segment, now) for segment in segments])
        if written == len(segments):
            return [frozenset()] * len(requests)
        fenced = self._fenced_off(cursor, segments)
        return [fenced & {segment.turn_id for segment in request} for request in requests]

    def _fenced_off(self, cursor: DBAPICursor, segments: Sequence[Segment]) -> frozenset[str]:
        """Return the turns that their owner lost.

        A segment may also have been skipped because it was stored already.
        """
        owners = {segment.turn_id: segment.owner for segment in segments}
        return frozenset(
            turn_id
            for turn_id, owner in owners.items()
            if self._owned.first(cursor, {"the_turn": turn_id, "the_owner": owner}) is None
        )


def _fenced_row() -> sa.Select[*tuple[object, ...]]:
    """Select one segment from parameters, with the columns in the order of the table.

    Selects no row if the turn is fenced off, was deleted, or keeps no text.
    """
    turns = tables.turns.c
    return sa.select(
        turns.id,
        sa.bindparam("first_seq", type_=sa.BigInteger),
        sa.bindparam("last_seq", type_=sa.BigInteger),
        turns.tenant_id,
        sa.bindparam("created_at", type_=sa.Double),
        sa.bindparam("blob", type_=sa.LargeBinary),
    ).where(is_owned(), turns.keep_text, turns.deleted_at.is_(None))


def _conversation_busy() -> sa.Select[*tuple[object, ...]]:
    """Select a row if the conversation has a turn in flight, or one newer than `previous_id`."""
    turns = tables.turns.c
    same = (
        turns.tenant_id == sa.bindparam("tenant_id"),
        turns.conversation == sa.bindparam("conversation"),
    )
    live = sa.exists().where(*same, tables.LIVE, turns.deleted_at.is_(None))
    newer = sa.exists().where(
        *same,
        tables.CONTINUABLE,
        turns.ended_at.is_not(None),
        turns.id > sa.bindparam("previous_id"),
    )
    return sa.select(sa.literal_column("1")).where(sa.or_(live, newer))


def _row(segment: Segment, now: float) -> Values:
    owned = {"the_turn": segment.turn_id, "the_owner": segment.owner}
    return asdict(segment) | owned | {"created_at": now}
