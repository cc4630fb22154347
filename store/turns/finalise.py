"""Writes the terminal records of turns: a compare-and-set, then the rows of the winner.

Runs in the writer's thread, in the caller's transaction.
"""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy.engine.interfaces import DBAPICursor

from store.database import tables
from store.database.backend import Backend
from store.database.group_commit import Priority, Work
from store.database.prepared_statements import Prepare, Values
from store.records.turn_records import Finalised, FinalRecord
from store.turns.writes import (
    BEGINNING,
    id_rows,
    input_id_rows,
    input_rows,
    insert_turn,
    is_owned,
    message_row,
    row_of,
)

_END_COLUMNS = [name for name in FinalRecord.__struct_fields__ if name in tables.turns.c]
"""Columns of `turns` that are copied unchanged from the final record."""


class FinalWrites:
    """Writes of the terminal records of many turns at once."""

    def __init__(self, prepare: Prepare, backend: Backend) -> None:
        self.finalise = Work("turns.finalise", Priority.FINISH, self._finalise)
        turns = tables.turns
        columns = (*_END_COLUMNS, "conversation")
        ending = (
            sa.update(turns)
            .where(is_owned())
            .values({name: sa.bindparam(name) for name in columns})
        )
        deleted = turns.c.deleted_at
        current = sa.select(turns.c.status, turns.c.reason).where(
            turns.c.id == sa.bindparam("the_turn")
        )
        self._end = prepare(ending.where(deleted.is_(None)))
        self._end_of_deleted = prepare(ending.where(deleted.is_not(None)))
        self._read_outcome = prepare(current)
        self._insert = prepare(insert_turn((*BEGINNING, *_END_COLUMNS)))
        self._message = prepare(sa.insert(tables.messages))
        self._ids = prepare(sa.insert(tables.item_ids))
        self._usage = prepare(sa.insert(tables.usage_records))
        self._step = prepare(sa.insert(tables.turn_steps))
        self._attempt = prepare(sa.insert(tables.turn_attempts))
        stored = tables.turn_segments.c
        of_turn = stored.turn_id == sa.bindparam("the_turn")
        self._remove_segments = prepare(sa.delete(tables.turn_segments).where(of_turn))
        self._segment = prepare(backend.insert_or_extend(tables.turn_segments, None))

    def _finalise(self, cursor: DBAPICursor, records: Sequence[FinalRecord]) -> Sequence[Finalised]:
        """End each turn that its owner still owns and that is not final, and store its rows.

        A turn that was deleted in the meantime is stored without its content.
        """
        decided = [(record, *self._decide(cursor, record)) for record in records]
        won = [record for record, answer, _ in decided if answer.won]
        usages = [_row(r, r.usage, created_at=r.ended_at) for r in won if r.usage]
        self._usage.run_many(cursor, usages)
        self._step.run_many(cursor, [_row(r, step) for r in won for step in r.steps])
        self._attempt.run_many(cursor, _attempt_rows(won))
        kept = [record for record, _, keep in decided if keep]
        self._message.run_many(cursor, _message_rows(kept))
        self._ids.run_many(cursor, [row for record in kept for row in _answer_id_rows(record)])
        rewritten = [{"the_turn": r.turn.id} for r in won if r.rewrites_journal]
        self._remove_segments.run_many(cursor, rewritten)
        segments = [_row(r, r.segment, created_at=r.ended_at) for r in kept if r.segment]
        self._segment.run_many(cursor, segments)
        return [answer for _, answer, _ in decided]

    def _decide(self, cursor: DBAPICursor, record: FinalRecord) -> tuple[Finalised, bool]:
        """Update the row if allowed, insert it if missing, otherwise read the earlier outcome.

        The second value says whether to keep the content of the turn.
        """
        ending = _end_values(record)
        owned = {"the_turn": record.turn.id, "the_owner": record.turn.owner}
        won = Finalised(won=True, status=record.status, reason=record.reason)
        if self._end.run(cursor, ending | owned):
            return won, record.turn.keep_text
        # The verdicts may quote text that guards removed.
        if self._end_of_deleted.run(cursor, ending | owned | {"verdicts": None}):
            return won, False
        current = self._read_outcome.first(cursor, owned)
        if current is not None:
            status, reason = current
            return Finalised(won=False, status=str(status), reason=str(reason or "")), False
        self._insert.run(cursor, row_of(record.turn) | ending)
        self._message.run_many(cursor, input_rows([record.turn]))
        self._ids.run_many(cursor, input_id_rows([record.turn]))
        return won, record.turn.keep_text


def _end_values(record: FinalRecord) -> dict[str, object]:
    """Return the columns to set. A turn without an answer is removed from its conversation."""
    conversation = record.turn.conversation if record.has_answer else None
    return {name: getattr(record, name) for name in _END_COLUMNS} | {"conversation": conversation}


def _row(record: FinalRecord, part: Struct, **more: object) -> Values:
    """Return the row of a part of the record, with the columns that all rows of a turn have."""
    turn = record.turn
    return asdict(part) | {"turn_id": turn.id, "tenant_id": turn.tenant_id} | more


def _attempt_rows(records: Sequence[FinalRecord]) -> Iterator[Values]:
    for record in records:
        for step in record.steps:
            for attempt in step.attempts:
                yield _row(record, attempt, step=step.number)


def _answer_id_rows(record: FinalRecord) -> Iterator[Values]:
    """Yield the rows of the ids of output items; an input item with the same id has its row."""
    known = set(record.turn.input_ids)
    ids = [id for id in record.answer_ids if id not in known]
    return id_rows(record.turn, ids, "assistant")


def _message_rows(records: Sequence[FinalRecord]) -> Iterator[Values]:
    for record in records:
        if record.text or record.tool_calls or record.items:
            yield message_row(
                record.turn,
                "assistant",
                record.ended_at,
                text=record.text,
                tool_calls=record.tool_calls,
                items=record.items,
            )
