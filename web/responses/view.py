"""A response as `GET /v1/responses/{id}` tells it: of a turn that plays, or from the store."""

from collections.abc import Sequence

import msgspec
from msgspec import json

from actors.events import AnyEvent, Ended
from actors.long_answers import read_items
from actors.outcome import ErrorInfo, Reason, Usage
from actors.turn import Turn
from store.records import StoredResponse, UsageRecord
from web.dialects.response_object import Answer, answer_of, object_of, response_object
from web.dialects.responses_items import Fields


def live_response(turn: Turn, journal: Sequence[AnyEvent]) -> Fields:
    """The response of a turn that plays, or whose record is not in the database yet.

    `journal` are its events so far.
    """
    request = turn.request
    if journal:
        items = turn.items if isinstance(journal[-1], Ended) else None
        return response_object(journal, request.dialect_options, items)
    answer = Answer(turn_id=turn.id, model=request.model, created_at=turn.created_at)
    return object_of(answer, request.dialect_options)


def stored_response(stored: StoredResponse) -> Fields:
    """The response of a turn that has ended, as its record tells it."""
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


def distant_response(stored: StoredResponse, events: Sequence[AnyEvent]) -> Fields:
    """The response of a turn that plays in another process; `events` are what is kept of it."""
    if not events:
        return stored_response(stored)
    return object_of(answer_of(events), stored.turn.dialect_options)


def _usage(record: UsageRecord) -> Usage:
    told = msgspec.structs.asdict(record)
    return msgspec.convert({k: v for k, v in told.items() if k != "cost_micros"}, Usage)
