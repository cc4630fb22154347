"""Finalisation: stores the terminal record of a turn and then closes its journal.

The record goes to the database. If that fails it goes to the spool, and if that fails too to the
log, with later retries on the database (`actors.finalisation.unsaved_records`). Each write has its
own shield and deadline, so that a cancelled turn is still finalised.
"""

from collections.abc import Callable

import msgspec
import trio

from actors.answer.builder import fold
from actors.answer.codec import is_long
from actors.finalisation.outcome_decision import TurnEnding, items_json
from actors.finalisation.unsaved_records import Unsaved
from actors.persister import Persister
from actors.ports import EventBus, RecordSpool, TurnStore
from actors.turn.events import AnyEvent, Ended
from actors.turn.lifecycle_events import (
    ActorCrashed,
    RecordUnsaved,
    StoreRefusal,
    TurnEnded,
)
from actors.turn.outcome import ErrorInfo, Reason, Status
from actors.turn.state import Turn
from actors.turn.store_records import Finalised, FinalRecord, SpoolFailed, Stored, StoreUnavailable

SPOOL_TIMEOUT_S = 5.0
ITEMS_TIMEOUT_S = 1.0

INTERNAL = ErrorInfo(
    status=500,
    message="Internal error while processing the request.",
    type="server_error",
    code="internal",
)
"""Error sent to the client after a bug; the details are in the log."""


class Finaliser:
    """The only writer of terminal records for the live turns of this process."""

    def __init__(
        self,
        store: TurnStore,
        spool: RecordSpool,
        bus: EventBus,
        now: Callable[[], float],
        *,
        finalise_timeout_s: float,
    ) -> None:
        self._store = store
        self._spool = spool
        self._bus = bus
        self._now = now
        self._timeout_s = finalise_timeout_s
        self.unsaved = Unsaved(store, bus)

    async def finalise(self, turn: Turn, ending: TurnEnding, persister: Persister) -> None:
        """Store the record, publish `ended` and close the journal; store errors are handled."""
        turn.stage = "finalising"
        began = trio.current_time()
        ended = ending.ended(self._now())
        last = persister.closing(ended)
        record = await self._record(turn, ending, ended, last)
        stored, winner = await self._keep(turn, record)
        turn.stored = stored
        settled = _settled_end(last, ended, winner)
        if settled is not last:
            # The answer was closed for the end that lost.
            turn.answer = fold([*turn.journal.events, *settled])
        publish(turn, settled)
        self._bus.publish(TurnEnded(record, stored, trio.current_time() - began))

    async def _record(
        self, turn: Turn, ending: TurnEnding, ended: Ended, last: list[AnyEvent]
    ) -> FinalRecord:
        try:
            turn.answer.add(ended)
            return ending.record(ended, last, await _items(turn))
        except Exception as error:
            # The answer's content cannot be encoded; the turn must get its record regardless.
            self._bus.publish(ActorCrashed(turn.id, error))
            return ending.bare_record(ended)

    async def _keep(self, turn: Turn, record: FinalRecord) -> tuple[Stored, Finalised | None]:
        try:
            return "committed", await self._commit(record)
        except Exception as error:
            self._report(turn, error)
        try:
            await self._append(record)
        except Exception as error:
            self._report(turn, error)
            self._bus.publish(RecordUnsaved(record))
            self.unsaved.keep(record)
            return "unsaved", None
        return "spooled", None

    def _report(self, turn: Turn, error: Exception) -> None:
        # Any other exception is a bug in the store. The record must survive that too.
        if isinstance(error, StoreUnavailable | SpoolFailed):
            self._bus.publish(StoreRefusal(turn.id, error))
        else:
            self._bus.publish(ActorCrashed(turn.id, error))

    async def _commit(self, record: FinalRecord) -> Finalised:
        with trio.move_on_after(self._timeout_s, shield=True):
            return await self._store.finalise(record)
        raise StoreUnavailable("The database did not answer in time (finalise_timeout_s).")

    async def _append(self, record: FinalRecord) -> None:
        with trio.move_on_after(SPOOL_TIMEOUT_S, shield=True):
            return await self._spool.append(record)
        raise SpoolFailed("The spool did not answer in time.")


async def _items(turn: Turn) -> str | None:
    """Return the output items as JSON if they are stored, for a long answer from a thread."""
    if not turn.keeps_items:
        return None
    if is_long(turn.journal.events):
        with trio.move_on_after(ITEMS_TIMEOUT_S, shield=True):
            return await trio.to_thread.run_sync(items_json, turn.answer)
    # Also if no thread was free in time: a blocked event loop is better than lost items.
    return items_json(turn.answer)


def publish(turn: Turn, last: list[AnyEvent]) -> None:
    """Append the last events, close the journal and mark the turn as final."""
    turn.journal.append(last)
    turn.journal.close()
    turn.stage = "ended"
    turn.final.set()


def publish_crash(turn: Turn, now: float) -> None:
    """Publish an `internal_error` end after finalisation crashed, since readers wait for an end."""
    turn.stored = turn.stored or "unsaved"
    journal = turn.journal.events
    last: list[AnyEvent] = [] if journal else [turn.started(None)]
    if not journal or not isinstance(journal[-1], Ended):
        last.append(_crashed(turn, now))
    publish(turn, last)


def _crashed(turn: Turn, now: float) -> Ended:
    route = turn.answered_by
    return Ended(
        status=Status.FAILED,
        reason=Reason.INTERNAL_ERROR,
        usage=None,
        cost_micros=0,
        provider=route.provider if route else None,
        upstream_model=route.upstream_model if route else None,
        created_at=turn.created_at,
        first_token_at=turn.first_token_at,
        ended_at=now,
        error=INTERNAL,
    )


def _settled_end(last: list[AnyEvent], ended: Ended, winner: Finalised | None) -> list[AnyEvent]:
    """Return the end that the store has: ours, or that of the writer that came first.

    A winner without a reason is a new owner that has not ended the turn yet.
    """
    if winner is None or winner.won:
        return last
    theirs = msgspec.structs.replace(
        ended,
        status=Status(winner.status) if winner.reason else Status.FAILED,
        reason=Reason(winner.reason or Reason.OWNER_LOST),
        disconnect_stage=None,
        error=None,
    )
    return [*last[:-1], theirs]
