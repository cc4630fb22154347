"""Writes turns in flight: their first rows and their segments. Runs in the writer's thread."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from msgspec import json
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Dialect,
    Double,
    Insert,
    LargeBinary,
    Select,
    and_,
    bindparam,
    exists,
    insert,
    literal_column,
    or_,
    select,
)
from sqlalchemy.engine.interfaces import DBAPICursor

from store.database import tables
from store.database.backend import Backend
from store.database.prepared_statements import PreparedStatement, Values
from store.records.ids import new_id
from store.records.turn_records import NewTurn, Segment

SEGMENT_COLUMNS = ("turn_id", "tenant_id", "first_seq", "last_seq", "created_at", "blob")

# Literals instead of parameters, because `IN` with parameters is expanded at each execution and
# could not be compiled once.
IN_FLIGHT = tables.turns.c.status.in_([literal_column("'queued'"), literal_column("'in_progress'")])

BEGINNING = (
    "id",
    "tenant_id",
    "session_id",
    "owner",
    "status",
    "model",
    "mode",
    "dialect",
    "dialect_options",
    "keep_text",
    "created_at",
    "epoch",
    "previous_id",
    "conversation",
)
"""Columns that are set when a turn begins; all others are null until it ends."""


def is_owned() -> ColumnElement[bool]:
    """Return a condition: `the_owner` owns the turn `the_turn`, and the turn is not final."""
    turns = tables.turns.c
    return and_(turns.id == bindparam("the_turn"), turns.owner == bindparam("the_owner"), IN_FLIGHT)


def insert_turn(columns: Iterable[str]) -> Insert:
    """Build an insert of a turn with these columns as parameters."""
    return insert(tables.turns).values({name: bindparam(name) for name in columns})


def row_of(turn: NewTurn) -> dict[str, object]:
    """Return the row of a turn that begins."""
    return {
        "id": turn.id,
        "tenant_id": turn.tenant_id,
        "session_id": turn.session_id,
        "owner": turn.owner,
        "status": "in_progress",
        "model": turn.model,
        "mode": turn.mode,
        "dialect": turn.dialect,
        "dialect_options": json.encode(turn.dialect_options).decode(),
        "keep_text": turn.keep_text,
        "created_at": turn.created_at,
        "epoch": 0,
        "previous_id": turn.previous_id,
        "conversation": turn.conversation,
    }


def input_rows(turns: Iterable[NewTurn]) -> Iterator[Values]:
    """Yield a message row with the input items of each turn that stores items."""
    for turn in turns:
        if turn.input_items is not None and turn.keep_text:
            yield {
                "id": new_id("msg_", turn.created_at),
                "tenant_id": turn.tenant_id,
                "session_id": turn.session_id,
                "turn_id": turn.id,
                "role": "input",
                "text": "",
                "tool_calls": None,
                "created_at": turn.created_at,
                "items": turn.input_items,
            }


class TurnWrites:
    """Statements that begin and checkpoint many turns at once, in the caller's transaction.

    `clock` returns the creation time of segments, in seconds since the epoch.
    """

    def __init__(self, backend: Backend, dialect: Dialect, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._insert = PreparedStatement(insert_turn(BEGINNING), dialect)
        self._input = PreparedStatement(insert(tables.messages), dialect)
        self._conversation_busy = PreparedStatement(_conversation_busy(), dialect)
        self._owned = PreparedStatement(select(tables.turns.c.id).where(is_owned()), dialect)
        self._append = PreparedStatement(
            backend.insert_or_extend(tables.turn_segments, SEGMENT_COLUMNS, _fenced_row()), dialect
        )

    def begin(self, cursor: DBAPICursor, turns: Sequence[NewTurn]) -> Sequence[bool]:
        """Insert the turns as `in_progress`, except those whose conversation is busy.

        Return for each turn whether it was inserted.
        """
        independent = [turn for turn in turns if turn.conversation is None]
        self._insert.run_many(cursor, map(row_of, independent))
        begun = [*independent, *filter(partial(self._begin_in_conversation, cursor), turns)]
        self._input.run_many(cursor, input_rows(begun))
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

    def checkpoint(
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


def _fenced_row() -> Select[*tuple[object, ...]]:
    """Select one segment from parameters.

    Selects no row if the turn is fenced off, was deleted, or keeps no text.
    """
    turns = tables.turns.c
    return select(
        turns.id,
        turns.tenant_id,
        bindparam("first_seq", type_=BigInteger),
        bindparam("last_seq", type_=BigInteger),
        bindparam("created_at", type_=Double),
        bindparam("blob", type_=LargeBinary),
    ).where(is_owned(), turns.keep_text, turns.deleted_at.is_(None))


def _conversation_busy() -> Select[*tuple[object, ...]]:
    """Select a row if the conversation has a turn in flight, or one newer than `previous_id`."""
    turns = tables.turns.c
    same = (
        turns.tenant_id == bindparam("tenant_id"),
        turns.conversation == bindparam("conversation"),
    )
    live = exists().where(*same, tables.LIVE, turns.deleted_at.is_(None))
    newer = exists().where(
        *same, tables.CONTINUABLE, turns.ended_at.is_not(None), turns.id > bindparam("previous_id")
    )
    return select(literal_column("1")).where(or_(live, newer))


def _row(segment: Segment, now: float) -> Values:
    return {
        "the_turn": segment.turn_id,
        "the_owner": segment.owner,
        "first_seq": segment.first_seq,
        "last_seq": segment.last_seq,
        "created_at": now,
        "blob": segment.blob,
    }
