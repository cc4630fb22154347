"""Finalisation: stores the terminal record of a turn and then closes its journal.

The record goes to the database. If that fails it goes to the spool, and if that fails too to the
log, with later retries on the database (`Unsaved`). Each write has its own shield and deadline, so
that a cancelled turn is still finalised.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass

import msgspec
import trio

from actors.answer.builder import fold
from actors.answer.codec import is_long
from actors.finalisation.outcome_decision import TurnEnding, ended_event, items_json
from actors.persister import Persister
from actors.ports import EventBus, RecordSpool, TurnStore
from actors.turn.events import AnyEvent, Ended
from actors.turn.lifecycle_events import ActorCrashed, RecordUnsaved, StoreRefusal, TurnEnded
from actors.turn.outcome import ErrorInfo, Reason, Status
from actors.turn.state import Turn
from actors.turn.store_records import Finalised, FinalRecord, SpoolFailed, Stored, StoreUnavailable

SPOOL_TIMEOUT_S = 5.0
ITEMS_TIMEOUT_S = 1.0
MAX_BYTES = 64 * 1024 * 1024
"""Memory limit for unsaved records; further records are only in the log."""
RETRY_S = 1.0
"""Seconds between two attempts to store them."""

INTERNAL = ErrorInfo(
    status=500,
    message="Internal error while processing the request.",
    type="server_error",
    code="internal",
)
"""Error sent to the client after a bug; the details are in the log."""


class Unsaved:
    """A retry queue for records that neither the database nor the spool took, oldest first.

    They are in the log too. After a temporary failure, such as a full disk, they still reach the
    database unless the server restarts before that.
    """

    def __init__(self, store: TurnStore, bus: EventBus) -> None:
        self._store = store
        self._bus = bus
        self._records: deque[FinalRecord] = deque()
        self._bytes = 0
        self._not_empty = trio.Event()

    def __len__(self) -> int:
        return len(self._records)

    def keep(self, record: FinalRecord) -> None:
        """Queue a record if the memory limit allows it."""
        if self._bytes + _size(record) <= MAX_BYTES:
            self._records.append(record)
            self._bytes += _size(record)
            self._not_empty.set()

    async def run(self, settled: Callable[[], None]) -> None:
        """Store queued records until cancelled; call `settled` each time all are stored."""
        while True:
            await self._not_empty.wait()
            await trio.sleep(RETRY_S)
            await self._store_records()
            if not self._records:
                self._not_empty = trio.Event()
                settled()

    async def _store_records(self) -> None:
        while self._records:
            record = self._records[0]
            try:
                await self._store.finalise(record)
            except StoreUnavailable:
                return
            except Exception as error:
                # A bug: the record would be refused for ever and block all later ones.
                self._bus.publish(ActorCrashed(record.turn.id, error))
            self._records.popleft()
            self._bytes -= _size(record)


@dataclass(eq=False)
class Finaliser:
    """The only writer of terminal records for the live turns of this process."""

    _store: TurnStore
    _spool: RecordSpool
    _bus: EventBus
    _now: Callable[[], float]
    _: KW_ONLY
    finalise_timeout_s: float

    def __post_init__(self) -> None:
        """Create the queue of unsaved records."""
        self.unsaved = Unsaved(self._store, self._bus)

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
        with trio.move_on_after(self.finalise_timeout_s, shield=True):
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
        last.append(ended_event(turn, Reason.INTERNAL_ERROR, INTERNAL, now))
    publish(turn, last)


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


def _size(record: FinalRecord) -> int:
    content = len(record.text) + len(record.items or "") + len(record.turn.input_items or "")
    return content + (len(record.segment.blob) if record.segment else 0)
