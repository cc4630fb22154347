"""Outcome decision: builds the `ended` event and the final record at the end of a turn.

The first match decides: a finish consumed by the persister, the first recorded cause, and
otherwise `upstream_truncated`, because the provider just stopped. The module does no I/O.
"""

import msgspec
from msgspec import Struct

from actors.answer.builder import AnswerBuilder, reached_client
from actors.answer.codec import encode_items
from actors.answer.items import items_of
from actors.attempts.client_errors import out_of_time
from actors.journal.checkpointer import Tail
from actors.ports import Estimator
from actors.turn.events import AnyEvent, Ended, ToolCall
from actors.turn.outcome import STATUS_OF, ErrorInfo, Reason, Status, cost_micros
from actors.turn.state import Cause, Turn
from actors.turn.step import charged, tried
from actors.turn.store_records import FinalRecord, UsageRecord

_TRUNCATED = ErrorInfo(
    status=502,
    message="The provider's answer ended without a finish reason.",
    code="truncated",
)


class Outcome(Struct, frozen=True):
    """The status, the reason and, for a failure, the error for the client."""

    status: Status
    reason: Reason
    error: ErrorInfo | None = None


def decide(finish: Reason | None, cause: Cause | None) -> Outcome:
    """Return the outcome of a turn with this finish reason or this cause of an early end."""
    if finish is not None:
        return Outcome(STATUS_OF[finish], finish)
    if cause is not None:
        return Outcome(STATUS_OF[cause.reason], cause.reason, cause.error)
    return Outcome(Status.FAILED, Reason.UPSTREAM_TRUNCATED, _TRUNCATED)


class TurnEnding:
    """The end of one turn: its `ended` event and its final record."""

    def __init__(self, turn: Turn, tail: Tail, estimates: Estimator) -> None:
        self._turn = turn
        self._tail = tail
        self._estimates = estimates

    def ended(self, now: float) -> Ended:
        """Return the last event, at `now` seconds since the epoch."""
        turn = self._turn
        outcome = decide(turn.finish, turn.cause)
        usage = charged(turn.steps, self._estimates)
        route = turn.answered_by
        return Ended(
            status=outcome.status,
            reason=outcome.reason,
            usage=usage,
            cost_micros=cost_micros(usage, turn.request.price) if usage else 0,
            provider=route.provider if route else None,
            upstream_model=route.upstream_model if route else None,
            created_at=turn.created_at,
            first_token_at=turn.first_token_at,
            ended_at=now,
            disconnect_stage=turn.disconnect_stage,
            error=self._error(outcome),
        )

    def _error(self, outcome: Outcome) -> ErrorInfo | None:
        if outcome.reason is Reason.TIME_BUDGET and outcome.error is None:
            return out_of_time(tried(self._turn.steps))
        return outcome.error

    def record(self, ended: Ended, last: list[AnyEvent], items: str | None = None) -> FinalRecord:
        """Return the final record, with `last` as the end of the journal.

        `items` is the JSON array of the output items, or None if they aren't stored.
        """
        bare = self.bare_record(ended)
        last_event = len(self._turn.journal.events) + len(last) - 1
        if not self._turn.keeps_content:
            return msgspec.structs.replace(bare, last_event=last_event)
        return msgspec.structs.replace(
            bare,
            text=self._turn.answer.text,
            tool_calls=tool_calls_json(self._turn.answer.tool_calls),
            last_event=last_event,
            segment=self._tail.cut(last),
            items=items,
        )

    def bare_record(self, ended: Ended) -> FinalRecord:
        """Return the final record without any content of the answer."""
        turn = self._turn
        return FinalRecord(
            turn=turn.as_new(),
            status=ended.status.value,
            reason=ended.reason.value,
            disconnect_stage=ended.disconnect_stage.value if ended.disconnect_stage else None,
            provider=ended.provider,
            upstream_model=ended.upstream_model,
            usage=usage_record(ended),
            text="",
            tool_calls=None,
            error=error_json(ended.error),
            first_token_at=ended.first_token_at,
            ended_at=ended.ended_at,
            last_event=len(turn.journal.events),
            epoch=0,
            segment=None,
            steps=tuple(step.record(self._estimates) for step in turn.steps if step.attempts),
            heard=reached_client(turn.request, turn.answer, ended.status, ended.reason),
        )


def usage_record(ended: Ended) -> UsageRecord | None:
    """Return the charged usage as the store keeps it."""
    if ended.usage is None:
        return None
    return UsageRecord(**msgspec.structs.asdict(ended.usage), cost_micros=ended.cost_micros)


def tool_calls_json(calls: list[ToolCall]) -> str | None:
    """Return complete tool calls as JSON in OpenAI's format, or None for no calls."""
    if not calls:
        return None
    return msgspec.json.encode([tool_call(call) for call in calls]).decode()


def tool_call(call: ToolCall) -> dict[str, object]:
    """Return one complete tool call in OpenAI's format."""
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def items_json(answer: AnswerBuilder) -> str | None:
    """Return the output items of an ended answer as stored JSON, or None for no items."""
    return encode_items(items_of(answer))


def error_json(error: ErrorInfo | None) -> str | None:
    """Return the error as stored JSON, or None."""
    return msgspec.json.encode(error).decode() if error else None
