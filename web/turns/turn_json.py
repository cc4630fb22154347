"""JSON representation of turns, with the same fields for live and stored ones."""

import msgspec

from actors.turn.events import Ended
from actors.turn.outcome import ErrorInfo, Reason, Status, Usage
from actors.turn.state import Turn
from store.records.turn_records import TurnView, UsageRecord
from web.dialects.openai_responses.response import ANSWER_REASONS
from web.dialects.turn_errors import error_of

LISTED_TEXT = 10_000
"""Maximum characters of a turn's text in a list: a page of whole answers could be 200 MB."""


def live_turn(turn: Turn) -> dict[str, object]:
    """Return a turn that is live, or whose record is not in the database yet."""
    ended = _ended(turn)
    usage = ended.usage if ended else None
    route = turn.answered_by
    return {
        "id": turn.id,
        "object": "turn",
        "status": ended.status if ended else Status.IN_PROGRESS,
        "reason": ended.reason if ended else None,
        "disconnect_stage": ended.disconnect_stage if ended else None,
        "model": turn.request.model,
        "provider": route.provider if route else None,
        "upstream_model": route.upstream_model if route else None,
        "mode": turn.request.mode,
        "usage": _usage(usage),
        "cost_micros": ended.cost_micros if ended else 0,
        "text": turn.answer.text if turn.keeps_content else "",
        "error": ended and (ended.error or _default_error(ended.reason)),
        "created_at": turn.created_at,
        "first_token_at": turn.first_token_at,
        "ended_at": ended.ended_at if ended else None,
        "deleted_at": turn.deleted_at,
        "last_event": len(turn.journal.events) - 1 if turn.journal.events else None,
        "stored": turn.stored,
        "attempts": [
            msgspec.structs.asdict(attempt)
            for step in turn.steps
            for attempt in step.current_records(turn.request.price)
        ],
        "authority": turn.authority,
        "verdicts": turn.kept_verdicts,
    }


def stored_turn(turn: TurnView) -> dict[str, object]:
    """Return a turn from the store."""
    usage = turn.usage
    return {
        "id": turn.id,
        "object": "turn",
        "status": turn.status,
        "reason": turn.reason,
        "disconnect_stage": turn.disconnect_stage,
        "model": turn.model,
        "provider": turn.provider,
        "upstream_model": turn.upstream_model,
        "mode": turn.mode,
        "usage": _usage(usage),
        "cost_micros": usage.cost_micros if usage else 0,
        "text": turn.text,
        "error": msgspec.Raw(turn.error.encode()) if turn.error else _default_error(turn.reason),
        "created_at": turn.created_at,
        "first_token_at": turn.first_token_at,
        "ended_at": turn.ended_at,
        "deleted_at": turn.deleted_at,
        "last_event": turn.last_event,
        "stored": "committed",
        "attempts": [msgspec.structs.asdict(attempt) for attempt in turn.attempts],
        "authority": turn.authority,
        "verdicts": msgspec.Raw(turn.verdicts.encode()) if turn.verdicts else [],
    }


def listed_turn(turn: TurnView) -> dict[str, object]:
    """Return a stored turn for a list: a long text is cut, and `text_truncated` says so."""
    shown = stored_turn(turn)
    if len(turn.text) > LISTED_TEXT:
        shown |= {"text": turn.text[:LISTED_TEXT], "text_truncated": True}
    return shown


def _default_error(reason: str | None) -> ErrorInfo | None:
    """Return the error for an end without a specific error; None if it is not an error."""
    return None if reason is None or reason in ANSWER_REASONS else error_of(Reason(reason))


def _ended(turn: Turn) -> Ended | None:
    last = turn.journal.events[-1] if turn.journal.closed else None
    return last if isinstance(last, Ended) else None


def _usage(usage: Usage | UsageRecord | None) -> dict[str, object] | None:
    names = ("input_tokens", "output_tokens", "estimated")
    return None if usage is None else {name: getattr(usage, name) for name in names}
