"""Writes the terminal records of turns: a compare-and-set, then the rows of the winner.

Runs in the writer's thread, in the caller's transaction.
"""

from collections.abc import Iterator, Sequence

from sqlalchemy import Dialect, bindparam, insert, select, update
from sqlalchemy.engine.interfaces import DBAPICursor

from store.database import tables
from store.database.backend import Backend
from store.database.prepared_statements import PreparedStatement, Values
from store.records.ids import new_id
from store.records.turn_records import Finalised, FinalRecord
from store.turns.writes import BEGINNING, SEGMENT_COLUMNS, input_rows, insert_turn, is_owned, row_of

_END_COLUMNS = (
    "status",
    "reason",
    "disconnect_stage",
    "provider",
    "upstream_model",
    "error",
    "first_token_at",
    "ended_at",
    "last_event",
    "epoch",
)
"""Columns of `turns` that are copied unchanged from the final record."""


class FinalWrites:
    """Statements that write the terminal records of many turns at once."""

    def __init__(self, backend: Backend, dialect: Dialect) -> None:
        turns = tables.turns
        columns = (*_END_COLUMNS, "conversation")
        ending = update(turns).where(is_owned()).values({name: bindparam(name) for name in columns})
        deleted = turns.c.deleted_at
        current = select(turns.c.status, turns.c.reason).where(turns.c.id == bindparam("the_turn"))
        self._end = PreparedStatement(ending.where(deleted.is_(None)), dialect)
        self._end_of_deleted = PreparedStatement(ending.where(deleted.is_not(None)), dialect)
        self._read_outcome = PreparedStatement(current, dialect)
        self._insert = PreparedStatement(insert_turn((*BEGINNING, *_END_COLUMNS)), dialect)
        self._message = PreparedStatement(insert(tables.messages), dialect)
        self._usage = PreparedStatement(insert(tables.usage_records), dialect)
        self._step = PreparedStatement(insert(tables.turn_steps), dialect)
        self._attempt = PreparedStatement(insert(tables.turn_attempts), dialect)
        self._segment = PreparedStatement(
            backend.insert_or_extend(tables.turn_segments, SEGMENT_COLUMNS, None), dialect
        )

    def finalise(self, cursor: DBAPICursor, records: Sequence[FinalRecord]) -> Sequence[Finalised]:
        """End each turn that its owner still owns and that is not final, and store its rows.

        A turn that was deleted in the meantime is stored without its content.
        """
        decided = [(record, *self._decide(cursor, record)) for record in records]
        won = [record for record, answer, _ in decided if answer.won]
        self._usage.run_many(cursor, _usage_rows(won))
        self._step.run_many(cursor, _step_rows(won))
        self._attempt.run_many(cursor, _attempt_rows(won))
        kept = [record for record, _, keep in decided if keep]
        self._message.run_many(cursor, _message_rows(kept))
        self._segment.run_many(cursor, _segment_rows(kept))
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
        if self._end_of_deleted.run(cursor, ending | owned):
            return won, False
        current = self._read_outcome.first(cursor, owned)
        if current is not None:
            status, reason = current
            return Finalised(won=False, status=str(status), reason=str(reason or "")), False
        self._insert.run(cursor, row_of(record.turn) | ending)
        self._message.run_many(cursor, input_rows([record.turn]))
        return won, record.turn.keep_text


def _end_values(record: FinalRecord) -> dict[str, object]:
    """Return the columns to set. A turn without an answer is removed from its conversation."""
    conversation = record.turn.conversation if record.has_answer else None
    return {name: getattr(record, name) for name in _END_COLUMNS} | {"conversation": conversation}


def _usage_rows(records: Sequence[FinalRecord]) -> Iterator[Values]:
    for record in records:
        if (usage := record.usage) is not None:
            yield {
                "turn_id": record.turn.id,
                "tenant_id": record.turn.tenant_id,
                "input_tokens": usage.input_tokens,
                "output_tokens": usage.output_tokens,
                "cached_input_tokens": usage.cached_input_tokens,
                "reasoning_tokens": usage.reasoning_tokens,
                "estimated": usage.estimated,
                "cost_micros": usage.cost_micros,
                "created_at": record.ended_at,
            }


def _step_rows(records: Sequence[FinalRecord]) -> Iterator[Values]:
    for record in records:
        for step in record.steps:
            yield {
                "turn_id": record.turn.id,
                "number": step.number,
                "tenant_id": record.turn.tenant_id,
                "started_at": step.started_at,
                "ended_at": step.ended_at,
                "finish": step.finish,
            }


def _attempt_rows(records: Sequence[FinalRecord]) -> Iterator[Values]:
    for record in records:
        for step in record.steps:
            for attempt in step.attempts:
                yield {
                    "turn_id": record.turn.id,
                    "step": step.number,
                    "number": attempt.number,
                    "tenant_id": record.turn.tenant_id,
                    "provider": attempt.provider,
                    "upstream_model": attempt.upstream_model,
                    "started_at": attempt.started_at,
                    "ended_at": attempt.ended_at,
                    "result": attempt.result,
                    "status_code": attempt.status_code,
                    "message": attempt.message,
                    "input_tokens": attempt.input_tokens,
                    "output_tokens": attempt.output_tokens,
                }


def _message_rows(records: Sequence[FinalRecord]) -> Iterator[Values]:
    for record in records:
        if record.text or record.tool_calls or record.items:
            yield {
                "id": new_id("msg_", record.ended_at),
                "tenant_id": record.turn.tenant_id,
                "session_id": record.turn.session_id,
                "turn_id": record.turn.id,
                "role": "assistant",
                "text": record.text,
                "tool_calls": record.tool_calls,
                "created_at": record.ended_at,
                "items": record.items,
            }


def _segment_rows(records: Sequence[FinalRecord]) -> Iterator[Values]:
    for record in records:
        if (segment := record.segment) is not None:
            yield {
                "turn_id": record.turn.id,
                "tenant_id": record.turn.tenant_id,
                "first_seq": segment.first_seq,
                "last_seq": segment.last_seq,
                "created_at": record.ended_at,
                "blob": segment.blob,
            }
