"""Builds the response object for `GET /v1/responses/{id}` from a live turn or the store."""

from collections.abc import Sequence

import msgspec
from msgspec import json

from actors.answer.codec import read_items
from actors.turn.events import AnyEvent, Ended
from actors.turn.outcome import ErrorInfo, Reason, Usage
from actors.turn.state import Turn
from store.records.turns import StoredResponse, UsageRecord
from web.dialects.response_object import Answer, answer_of, object_of, response_object
from web.dialects.responses_items import Fields


def live_response(turn: Turn, journal: Sequence[AnyEvent]) -> Fields:
    """Return the response of a turn that is running or not in the database yet.

    `journal` has its events so far.
    """
    request = turn.request
    if journal:
        items = turn.items if isinstance(journal[-1], Ended) else None
        return response_object(journal, request.dialect_options, items)
    answer = Answer(turn_id=turn.id, model=request.model, created_at=turn.created_at)
    return object_of(answer, request.dialect_options)


def stored_response(stored: StoredResponse) -> Fields:
    """Return the response of an ended turn from its record."""
    turn = stored.turn
    answer = Answer(
        turn_id=turn.id,
        model=turn.upstream_model or turn.model,
        created_at=turn.created_at,
        items=read_items(stored.answer_items),
        reason=Reason(turn.reason) if turn.reason else None,
        usage=_usage(turn.usage) if turn.usage else None,
        error=json.decode(turn.error, type=ErrorInfo) if turn.error else None,
        ended_at=turn.ended_at,
    )
    return object_of(answer, turn.dialect_options)


def remote_response(stored: StoredResponse, events: Sequence[AnyEvent]) -> Fields:
    """Return the response of a turn that runs in another process.

    `events` are those that the other process has stored so far.
    """
    if not events:
        return stored_response(stored)
    return object_of(answer_of(events), stored.turn.dialect_options)


def _usage(record: UsageRecord) -> Usage:
    fields = msgspec.structs.asdict(record)
    return msgspec.convert({k: v for k, v in fields.items() if k != "cost_micros"}, Usage)
