"""Outcome decision: builds the `ended` event and the final record at the end of a turn.

The first match decides: a finish consumed by the persister, the first recorded cause, and
otherwise `upstream_truncated`, because the provider just stopped. The module does no I/O.
"""

import msgspec
from msgspec.structs import asdict, replace

from actors.answer.builder import AnswerBuilder, reached_client
from actors.answer.codec import encode_items
from actors.answer.items import items_of, native_ids
from actors.attempts.client_errors import out_of_time
from actors.journal.checkpointer import Tail
from actors.ports import Estimator
from actors.turn.events import AnyEvent, Ended, ToolCall
from actors.turn.outcome import STATUS_OF, DisconnectStage, ErrorInfo, Reason, Usage, cost_micros
from actors.turn.state import Cause, Turn
from actors.turn.step import charged, tried
from actors.turn.store_records import FinalRecord, NewTurn, StepRecord, UsageRecord

_TRUNCATED = ErrorInfo(
    status=502,
    message="The provider's answer ended without a finish reason.",
    code="truncated",
)


def decide(finish: Reason | None, cause: Cause | None) -> tuple[Reason, ErrorInfo | None]:
    """Return the reason of the end, which decides its status, and the error for the client."""
    if finish is not None:
        return finish, None
    if cause is not None:
        return cause.reason, cause.error
    return Reason.UPSTREAM_TRUNCATED, _TRUNCATED


class TurnEnding:
    """The end of one turn: its `ended` event and its final record."""

    def __init__(self, turn: Turn, tail: Tail, estimates: Estimator) -> None:
        self._turn = turn
        self._tail = tail
        self._estimates = estimates

    def ended(self, now: float) -> Ended:
        """Return the last event, at `now` seconds since the epoch."""
        turn = self._turn
        reason, error = decide(turn.finish, turn.cause)
        if reason is Reason.TIME_BUDGET and error is None:
            error = out_of_time(tried(turn.steps))
        usage = charged(turn.steps, self._estimates)
        return ended_event(turn, reason, error, now, usage, turn.disconnect_stage)

    def record(self, ended: Ended, last: list[AnyEvent], items: str | None = None) -> FinalRecord:
        """Return the final record, with `last` as the end of the journal.

        `items` is the JSON array of the output items, or None if they aren't stored.
        """
        bare = self.bare_record(ended)
        last_event = len(self._turn.journal.events) + len(last) - 1
        turn = self._turn
        if not turn.keeps_content:
            return replace(bare, last_event=last_event)
        return replace(
            bare,
            text=turn.answer.text,
            tool_calls=tool_calls_json(turn.answer.tool_calls),
            last_event=last_event,
            segment=self._tail.cut(last),
            items=items,
            answer_ids=native_ids(turn.answer) if items else (),
        )

    def bare_record(self, ended: Ended) -> FinalRecord:
        """Return the final record without any content of the answer."""
        turn = self._turn
        record = bare_record(
            turn.as_new(),
            ended,
            last_event=len(turn.journal.events),
            steps=tuple(
                step.record(self._estimates, turn.request.price)
                for step in turn.steps
                if step.attempts
            ),
            heard=reached_client(turn.request, turn.answer, ended.status, ended.reason),
            verdicts=_verdicts_json(turn),
        )
        return replace(record, rewrites_journal=self._tail.rewritten)


def ended_event(
    turn: Turn,
    reason: Reason,
    error: ErrorInfo | None,
    now: float,
    usage: Usage | None = None,
    disconnect_stage: DisconnectStage | None = None,
) -> Ended:
    """Return the last event of a turn that ends for this reason."""
    route = turn.answered_by
    return Ended(
        status=STATUS_OF[reason],
        reason=reason,
        usage=usage,
        cost_micros=cost_micros(usage, turn.request.price) if usage else 0,
        provider=route.provider if route else None,
        upstream_model=route.upstream_model if route else None,
        created_at=turn.created_at,
        first_token_at=turn.first_token_at,
        ended_at=now,
        disconnect_stage=disconnect_stage,
        error=error,
        stop_sequence=turn.steps[-1].stop_sequence if reason is Reason.STOP else None,
    )


def bare_record(
    turn: NewTurn,
    ended: Ended,
    *,
    last_event: int,
    heard: bool,
    steps: tuple[StepRecord, ...] = (),
    verdicts: str | None = None,
) -> FinalRecord:
    """Return the final record of any turn that ended so, without any content of the answer."""
    stage, usage, error = ended.disconnect_stage, ended.usage, ended.error
    return FinalRecord(
        turn=turn,
        status=ended.status.value,
        reason=ended.reason.value,
        disconnect_stage=stage.value if stage else None,
        provider=ended.provider,
        upstream_model=ended.upstream_model,
        usage=UsageRecord(**asdict(usage), cost_micros=ended.cost_micros) if usage else None,
        error=msgspec.json.encode(error).decode() if error else None,
        first_token_at=ended.first_token_at,
        ended_at=ended.ended_at,
        last_event=last_event,
        steps=steps,
        heard=heard,
        verdicts=verdicts,
    )


def _verdicts_json(turn: Turn) -> str | None:
    if not turn.verdicts:
        return None
    if turn.keeps_content:
        return msgspec.json.encode(turn.verdicts).decode()
    return msgspec.json.encode([replace(one, original=None) for one in turn.verdicts]).decode()


def tool_calls_json(calls: list[ToolCall]) -> str | None:
    """Return complete tool calls as JSON in OpenAI's format, or None for no calls."""
    if not calls:
        return None
    return msgspec.json.encode([tool_call(call) for call in calls]).decode()


def tool_call(call: ToolCall) -> dict[str, object]:
    """Return one complete tool call in OpenAI's format."""
    field = "arguments" if call.kind == "function" else "input"
    return {"id": call.id, "type": call.kind, call.kind: {"name": call.name, field: call.arguments}}


def items_json(answer: AnswerBuilder) -> str | None:
    """Return the output items of an ended answer as stored JSON, or None for no items."""
    return encode_items(items_of(answer))
