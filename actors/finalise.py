"""Finalising: the terminal record is kept, and only then does the journal end.

Database first; where it cannot take the record, the spool; where that cannot either, the log,
and the database again later (`actors.unsaved`).
Each has its own shield and deadline, so that a cancelled turn is still finalised.
"""

from collections.abc import Callable
from functools import partial

import msgspec
import trio

from actors.answer_items import Item, items_of
from actors.ending import Ending
from actors.events import AnyEvent, Ended
from actors.long_answers import is_long, kept_items
from actors.observer import Observer
from actors.outcome import ErrorInfo, Reason, Status
from actors.persister import Persister, unanswered
from actors.ports import Finalised, FinalRecord, SpoolFailed, Stored, StoreUnavailable, TurnStore
from actors.turn import Turn
from actors.unsaved import Unsaved

SPOOL_TIMEOUT_S = 5.0
ITEMS_TIMEOUT_S = 1.0

INTERNAL = ErrorInfo(
    status=500, message="The server failed to play this turn.", type="server_error", code="internal"
)
"""What is told of a bug; the log has the rest."""


class Finaliser:
    """Writes terminal records. The only code that does so for live turns."""

    def __init__(
        self,
        store: TurnStore,
        observer: Observer,
        now: Callable[[], float],
        *,
        finalise_timeout_s: float,
    ) -> None:
        self._store = store
        self._observer = observer
        self._now = now
        self._timeout_s = finalise_timeout_s
        self.unsaved = Unsaved(store, observer)

    async def finalise(self, turn: Turn, ending: Ending, persister: Persister) -> None:
        """Keep the record, publish `ended`, close the journal. Raises nothing of the store's."""
        turn.stage = "finalising"
        began = trio.current_time()
        ended = ending.ended(self._now())
        last = persister.closing(ended)
        record = await self._record(turn, ending, ended, last)
        stored, winner = await self._keep(turn, record)
        turn.stored = stored
        won = _as_won(last, ended, winner)
        if won is not last:
            turn.items = None  # they tell of another end
        publish(turn, won)
        self._observer.turn_ended(turn, record, stored, trio.current_time() - began)

    async def _record(
        self, turn: Turn, ending: Ending, ended: Ended, last: list[AnyEvent]
    ) -> FinalRecord:
        try:
            return ending.record(ended, last, await _items(turn, last))
        except Exception as error:
            # Something in the answer cannot be kept: the turn's end must be, all the same.
            self._observer.crashed(turn.id, error)
            return ending.bare_record(ended)

    async def _keep(self, turn: Turn, record: FinalRecord) -> tuple[Stored, Finalised | None]:
        try:
            return "committed", await self._commit(record)
        except Exception as error:
            self._report(turn, error)
        try:
            await self._spool(record)
        except Exception as error:
            self._report(turn, error)
            self._observer.unsaved(record)
            self.unsaved.keep(record)
            return "unsaved", None
        return "spooled", None

    def _report(self, turn: Turn, error: Exception) -> None:
        # What is not the store's trouble is a bug in it, which must not cost the record either.
        if isinstance(error, StoreUnavailable | SpoolFailed):
            self._observer.store_trouble(turn.id, error)
        else:
            self._observer.crashed(turn.id, error)

    async def _commit(self, record: FinalRecord) -> Finalised:
        with trio.move_on_after(self._timeout_s, shield=True):
            return await self._store.finalise(record)
        raise StoreUnavailable("The database did not answer in time (finalise_timeout_s).")

    async def _spool(self, record: FinalRecord) -> None:
        with trio.move_on_after(SPOOL_TIMEOUT_S, shield=True):
            return await self._store.spool(record)
        raise SpoolFailed("The spool did not answer in time.")


async def _items(turn: Turn, last: list[AnyEvent]) -> str | None:
    """The items of an answer, if they are kept; a long one's are made in a thread."""
    if not turn.keeps_items:
        return None
    journal = [*turn.journal.events, *last]
    long = is_long(journal)
    if long:
        with trio.move_on_after(ITEMS_TIMEOUT_S, shield=True):
            make = partial(_make_items, journal, long=long)
            turn.items, kept = await trio.to_thread.run_sync(make)
            return kept
    # Also where no thread was to be had: late is better than never.
    turn.items, kept = _make_items(journal, long=long)
    return kept


def _make_items(journal: list[AnyEvent], *, long: bool) -> tuple[list[Item], str | None]:
    items = items_of(journal)
    return items, kept_items(items, long=long)


def publish(turn: Turn, last: list[AnyEvent]) -> None:
    """Let the readers see the end."""
    turn.journal.append(last)
    turn.journal.close()
    turn.stage = "ended"
    turn.final.set()


def publish_crash(turn: Turn, now: float) -> None:
    """Let the readers see an end although finalising crashed: each of them waits for one."""
    turn.stored = turn.stored or "unsaved"
    journal = turn.journal.events
    last: list[AnyEvent] = [] if journal else [unanswered(turn)]
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


def _as_won(last: list[AnyEvent], ended: Ended, winner: Finalised | None) -> list[AnyEvent]:
    """The end as it stands in the store: ours, or that of whoever was first.

    A winner without a reason is a new owner who has not ended the turn yet.
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
