"""Recovery: finalises turns whose owner process died.

It runs at start-up, after the spool has been replayed. Stored events are kept unchanged. Later
ones are lost, which a `recovered` event in the journal records.
"""

from collections.abc import Callable, Sequence
from functools import partial

import msgspec
import trio

from actors.answer.builder import AnswerBuilder, fold
from actors.answer.items import native_ids
from actors.finalisation.outcome_decision import bare_record, items_json, tool_calls_json
from actors.journal.checkpointer import decode_events, segment_of
from actors.ports import RecordSpool, TurnStore
from actors.turn import events
from actors.turn.events import AnyEvent, Ended, Started
from actors.turn.outcome import ErrorInfo, Price, Reason, Status, Usage, cost_micros
from actors.turn.store_records import FinalRecord, NewTurn, Segment, TurnView
from actors.usage.estimator import estimate_tokens

_LOST = ErrorInfo(
    status=500,
    message="The server process died during this turn. The events recorded before that are kept.",
    type="server_error",
    code="owner_lost",
)


async def recover(
    store: TurnStore,
    spool: RecordSpool,
    now: Callable[[], float],
    price_of: Callable[[str], Price] = lambda model: Price(),
) -> int:
    """Finalise every orphaned turn as `failed / owner_lost` and return their number.

    The spools of dead processes come first: a turn that had ended before must not count as lost.

    `price_of` returns the price of a model by its requested name. Raises `StoreUnavailable`.
    """
    await spool.adopt()
    recovered = 0
    for turn in await store.orphans():
        segments = await store.segments(turn.id)
        lost = partial(final_record, turn, segments, now(), price_of(turn.model))
        # In a thread: a long journal takes a second, and other turns run in the meantime.
        finalised = await store.finalise(await trio.to_thread.run_sync(lost))
        recovered += finalised.won
    return recovered


def readable(segments: Sequence[Segment]) -> list[AnyEvent]:
    """Return the events up to the first segment that is damaged or from a newer version.

    An unreadable turn must not keep the server from starting.
    """
    journal: list[AnyEvent] = []
    for segment in segments:
        try:
            journal += decode_events(segment.blob)
        except msgspec.MsgspecError:
            break
    return journal


def final_record(
    turn: TurnView, segments: Sequence[Segment], now: float, price: Price
) -> FinalRecord:
    """Return the final record of a turn whose owner died, based on its stored journal."""
    journal = readable(segments)
    answer = fold(journal)
    last: list[AnyEvent] = []
    if not any(isinstance(event, Started) for event in journal):
        last.append(
            Started(
                turn_id=turn.id,
                model=turn.model,
                provider=None,
                upstream_model=None,
                created_at=turn.created_at,
            )
        )
    ended = _ended(turn, journal, answer, now, price)
    last += [events.Recovered(turn.epoch + 1), ended]
    for event in last:
        answer.add(event)
    bare = bare_record(
        msgspec.convert(turn, NewTurn, from_attributes=True),
        ended,
        last_event=len(journal) + len(last) - 1,
        heard=answer.has_content,
    )
    return msgspec.structs.replace(
        bare,
        text=answer.text,
        tool_calls=tool_calls_json(answer.tool_calls),
        epoch=turn.epoch + 1,
        segment=segment_of(turn.id, turn.owner, len(journal), last) if turn.keep_text else None,
        items=items_json(answer) if turn.keeps_items else None,
        answer_ids=native_ids(answer) if turn.keeps_items else (),
    )


def _ended(
    turn: TurnView, journal: list[AnyEvent], answer: AnswerBuilder, now: float, price: Price
) -> Ended:
    provider, upstream_model = _route(journal)
    usage = _usage(journal, answer) if provider else None
    return Ended(
        status=Status.FAILED,
        reason=Reason.OWNER_LOST,
        usage=usage,
        cost_micros=cost_micros(usage, price) if usage else 0,
        provider=provider,
        upstream_model=upstream_model,
        created_at=turn.created_at,
        first_token_at=None,
        ended_at=now,
        error=_LOST,
    )


def _route(journal: list[AnyEvent]) -> tuple[str | None, str | None]:
    """Return the provider and upstream model that answered last."""
    for event in reversed(journal):
        if isinstance(event, Started | events.RouteChanged):
            return event.provider, event.upstream_model
    return None, None


def _usage(journal: list[AnyEvent], answer: AnswerBuilder) -> Usage:
    return Usage(
        input_tokens=sum(e.input_estimate for e in journal if isinstance(e, Started)),
        output_tokens=estimate_tokens(answer.generated),
        estimated=True,
    )
