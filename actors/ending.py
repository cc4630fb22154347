"""How a turn ended, decided from what is known at its end. Pure.

First match wins: a finish consumed by the persister, then the first cause given, then silence
of the provider (`upstream_truncated`).
"""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from actors.answer_items import encode_items, items_of
from actors.events import AnyEvent, Ended, ToolCall
from actors.failures import out_of_time
from actors.heard import was_heard
from actors.ledger import Estimates
from actors.outcome import STATUS_OF, DisconnectStage, ErrorInfo, Reason, Status, Usage
from actors.persister import Persister
from actors.ports import FinalRecord, StepRecord, UsageRecord
from actors.price import cost_micros
from actors.turn import Cause, Turn

_TRUNCATED = ErrorInfo(
    status=502,
    message="The provider's answer ended without a finish reason.",
    code="truncated",
)


class Outcome(Struct, frozen=True):
    """Status, reason and, for a failure, what the client is told."""

    status: Status
    reason: Reason
    error: ErrorInfo | None = None


def decide(finish: Reason | None, cause: Cause | None) -> Outcome:
    """The outcome of a turn with this finish and this cause of an early end, if any."""
    if finish is not None:
        return Outcome(STATUS_OF[finish], finish)
    if cause is not None:
        return Outcome(STATUS_OF[cause.reason], cause.reason, cause.error)
    return Outcome(Status.FAILED, Reason.UPSTREAM_TRUNCATED, _TRUNCATED)


class Ending:
    """The last act of one turn: its `ended` event and its final record."""

    def __init__(self, turn: Turn, persister: Persister, estimates: Estimates) -> None:
        self._turn = turn
        self._persister = persister
        self._estimates = estimates

    def usage(self) -> Usage | None:
        """What is charged; None where no provider left the client with anything."""
        return self._turn.ledger.charged(self._turn.request.call, self._estimates)

    def ended(self, now: float) -> Ended:
        """The last event, at `now` seconds since the epoch."""
        turn = self._turn
        outcome = decide(self._persister.finish, turn.cause)
        usage = self.usage()
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
            disconnect_stage=self._stage(),
            error=self._error(outcome),
        )

    def _error(self, outcome: Outcome) -> ErrorInfo | None:
        if outcome.reason is Reason.TIME_BUDGET and outcome.error is None:
            return out_of_time(self._turn.ledger.tried())
        return outcome.error

    def _stage(self) -> DisconnectStage | None:
        return self._turn.disconnect_stage(finished=self._persister.finish is not None)

    def record(self, ended: Ended, last: list[AnyEvent], items: str | None = None) -> FinalRecord:
        """What the terminal transaction writes, with `last` as the end of the journal.

        `items` are those of the answer, where they are kept.
        """
        bare, persister = self.bare_record(ended), self._persister
        last_event = len(self._turn.journal.events) + len(last) - 1
        if not self._turn.keeps_said:
            return msgspec.structs.replace(bare, last_event=last_event)
        return msgspec.structs.replace(
            bare,
            text=persister.text,
            tool_calls=tool_calls_json(persister.tool_calls),
            last_event=last_event,
            segment=persister.tail.cut(last),
            items=items,
        )

    def bare_record(self, ended: Ended) -> FinalRecord:
        """The record without anything that was said."""
        return FinalRecord(
            turn=self._turn.as_new(),
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
            last_event=len(self._turn.journal.events),
            epoch=0,
            segment=None,
            steps=self._steps(ended),
            heard=self._heard(ended),
        )

    def _heard(self, ended: Ended) -> bool:
        turn = self._turn
        return was_heard(turn.request, turn.journal.events, ended.status, ended.reason)

    def _steps(self, ended: Ended) -> tuple[StepRecord, ...]:
        attempts = self._turn.ledger.records(self._turn.request.call, self._estimates)
        if not attempts:
            return ()
        finish = self._persister.finish
        step = StepRecord(
            number=1,
            started_at=attempts[0].started_at,
            ended_at=ended.ended_at,
            finish=finish.value if finish else None,
            attempts=attempts,
        )
        return (step,)


def usage_record(ended: Ended) -> UsageRecord | None:
    """The charge as the store keeps it."""
    usage = ended.usage
    if usage is None:
        return None
    return UsageRecord(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        estimated=usage.estimated,
        cost_micros=ended.cost_micros,
    )


def tool_calls_json(calls: list[ToolCall]) -> str | None:
    """Whole tool calls as OpenAI spells them, or None."""
    if not calls:
        return None
    return msgspec.json.encode([tool_call(call) for call in calls]).decode()


def tool_call(call: ToolCall) -> dict[str, object]:
    """One whole tool call as OpenAI spells it."""
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def items_json(journal: Iterable[AnyEvent]) -> str | None:
    """The items of the answer in a whole journal as they are kept, or None."""
    items = items_of(journal)
    return encode_items(items).decode() if items else None


def error_json(error: ErrorInfo | None) -> str | None:
    """The error as the store keeps it."""
    return msgspec.json.encode(error).decode() if error else None
