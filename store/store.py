"""Store facade: implements `actors.ports.TurnStore` and the queries of the web layer.

`open_store` opens the database, the spool and the lock file (`StoreParts`).
"""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
import trio
from msgspec import Struct
from sqlalchemy import Connection, Engine

from store.database.backend import Backend, StoreRefused
from store.database.engine import backend_for, in_thread, open_engine
from store.database.group_commit import GroupCommitWriter, Work
from store.database.settings import StoreSettings
from store.database.transactions import Transactions
from store.ownership.file_locks import Owner, owners_with
from store.records.turn_records import (
    ChainLink,
    ConversationBusy,
    Finalised,
    FinalRecord,
    NewTurn,
    Principal,
    Segment,
    StoredResponse,
    StoreUnavailable,
    TurnPage,
    TurnView,
)
from store.spool.replay import replay
from store.spool.spool import SUFFIX, Spool
from store.turns import history, reads
from store.turns.deletion import Deletion, Deletions, Upkeep, turns_to_sweep
from store.turns.finalise import FinalWrites
from store.turns.writes import TurnWrites

__all__ = ["Store", "StoreFigures", "StoreRefused", "StoreSettings", "open_store"]

T = TypeVar("T")

_SPOOL_THREADS = 16
_SWEEP_TURNS = 100
_RETRY_FIRST_S = 0.5
_RETRY_MAX_S = 15.0
_CLOSE_S = 10.0


@dataclass(frozen=True)
class StoreParts:
    """The open database and this process's own files next to it."""

    backend: Backend
    owner: Owner
    spool: Spool
    engine: Engine

    def close(self) -> None:
        """Close everything. A spool that still holds records is left for the next start."""
        self.engine.dispose()
        self.spool.close(remove=self.spool.records == 0)
        self.owner.release()
        self.backend.remove()


def open_parts(settings: StoreSettings) -> StoreParts:
    """Open all parts, or none; raises `StoreRefused`."""
    backend = backend_for(settings)
    with ExitStack() as undo:
        undo.callback(backend.remove)
        try:
            parts = _open(backend, settings, undo)
        except OSError as error:
            raise StoreRefused(backend.opening_error(error) or str(error)) from error
        undo.pop_all()
    return parts


class StoreFigures(Struct, frozen=True, kw_only=True):
    """The state of the store, for metrics."""

    queued: int
    """Number of writes that wait for their result."""
    commits: int
    """Number of transactions committed since the start."""
    failing: bool
    """True if the last transaction found the database unavailable."""
    spooled_records: int
    """Number of this process's records that are not in the database yet."""
    spooled_bytes: int
    """Size in bytes of those records."""


class Store:
    """The store of all turns. Create it with `open_store`.

    Every method raises `StoreUnavailable` if the database is full, locked or gone. Every method
    may be cancelled; a write that is already queued is still executed.
    """

    def __init__(
        self, parts: StoreParts, settings: StoreSettings, clock: Callable[[], float]
    ) -> None:
        self._parts = parts
        self._clock = clock
        self._transactions = Transactions(
            parts.engine, parts.backend, settings.busy_timeout_ms / 1000
        )
        self._writer = GroupCommitWriter(
            self._transactions, queue_size=settings.queue_size, batch_size=settings.batch_size
        )
        self._readers = trio.CapacityLimiter(settings.readers)
        self._spoolers = trio.CapacityLimiter(_SPOOL_THREADS)
        self._replaying = trio.Lock()
        self._something_spooled = trio.Event()
        dialect = parts.engine.dialect
        turns = TurnWrites(parts.backend, dialect, clock)
        upkeep = Upkeep(dialect)
        self._begin = Work(0, turns.begin)
        self._checkpoint = Work(1, turns.checkpoint)
        self._finalise = Work(2, FinalWrites(parts.backend, dialect).finalise)
        self._delete = Work(3, Deletions(dialect).delete)
        self._sweep = Work(4, upkeep.sweep)
        self._probe = Work(5, upkeep.probe)

    @property
    def owner(self) -> str:
        """This process's owner id; the turns that it begins must carry it."""
        return self._parts.owner.id

    @property
    def figures(self) -> StoreFigures:
        """The current state of the store."""
        return StoreFigures(
            queued=self._writer.waiting,
            commits=self._transactions.commits,
            failing=self._transactions.failure is not None,
            spooled_records=self._parts.spool.records,
            spooled_bytes=self._parts.spool.bytes_used,
        )

    async def begin(self, turn: NewTurn) -> None:
        """Insert the turn as `in_progress`.

        Raises `ConversationBusy` if another turn of its conversation is in flight, in any process,
        or if a turn newer than its `previous_id` has ended in the conversation.
        """
        if not await self._writer.submit(self._begin, turn):
            raise ConversationBusy(turn.conversation)

    async def checkpoint(self, segments: Sequence[Segment]) -> frozenset[str]:
        """Append segments, each only while its owner owns the turn and the turn is not final.

        Returns the ids of the turns that were fenced off. A segment that is already stored is
        left as it is, or replaced by a longer one.
        """
        return await self._writer.submit(self._checkpoint, segments)

    async def finalise(self, record: FinalRecord) -> Finalised:
        """Write the terminal record in one transaction, if the turn is not terminal yet.

        The turn must still be owned by `record.turn.owner`, which may be a dead process. A turn
        that was never inserted is inserted now.
        """
        return await self._writer.submit(self._finalise, record)

    async def spool(self, record: FinalRecord) -> None:
        """Write the record to the local spool and sync it; raises `SpoolFailed`.

        `keep_replaying`, or else the next start, brings it into the database.
        """
        token = trio.lowlevel.current_trio_token()

        def append() -> None:
            try:
                self._parts.spool.append(msgspec.msgpack.encode(record))
            finally:
                # Not in the caller's task, which may have been cancelled by now.
                with suppress(trio.RunFinishedError):
                    token.run_sync_soon(self._note_spooled)

        await in_thread(append, self._spoolers)

    async def orphans(self) -> Sequence[TurnView]:
        """Return the turns in flight whose owner is dead, after replaying the owner's spool."""
        await self.adopt_spools()
        return await self._read(self._orphans)

    async def segments(self, turn_id: str) -> Sequence[Segment]:
        """Return the stored segments of a turn's journal, in order; none if it was swept."""
        return await self._read(partial(reads.segments, turn_id=turn_id))

    async def get_turn(self, principal: Principal, turn_id: str) -> TurnView | None:
        """Return one turn with its attempts; None if the tenant has no such turn."""
        return await self._read(
            partial(reads.get_turn, tenant_id=principal.tenant_id, turn_id=turn_id)
        )

    async def list_turns(
        self,
        principal: Principal,
        *,
        limit: int,
        status: str | None = None,
        cursor: str | None = None,
    ) -> TurnPage:
        """Return a page of at most `limit` turns, newest first, without their attempts.

        `cursor` is the `next` of the previous page.
        """
        query = partial(
            reads.list_turns,
            tenant_id=principal.tenant_id,
            limit=limit,
            status=status,
            cursor=cursor,
        )
        return await self._read(query)

    async def response(self, principal: Principal, turn_id: str) -> StoredResponse | None:
        """Return one turn with its items, also while it is in flight.

        None if the tenant has no such turn, or the turn is deleted or stores no items.
        """
        return await self._read(
            partial(reads.response, tenant_id=principal.tenant_id, turn_id=turn_id)
        )

    async def chain(
        self, principal: Principal, turn_id: str, limit: int, max_bytes: int
    ) -> list[ChainLink]:
        """Return a turn and its predecessors by `previous_id`, oldest first, with one query.

        A chain that is longer than `limit` turns (at least 1), or takes more than `max_bytes` of
        memory, is cut to its newest turns, but always holds at least one; its first link then
        has a `previous_id`. A turn that is missing, deleted or stores no items is a link whose
        `lost` is set. Only the turn itself has its dialect options.
        """
        query = partial(
            history.chain,
            tenant_id=principal.tenant_id,
            turn_id=turn_id,
            limit=limit,
            max_bytes=max_bytes,
        )
        return await self._read(query)

    async def latest_turn_in(self, principal: Principal, conversation: str) -> str | None:
        """Return the newest turn of a conversation that a new turn can continue, or None.

        That turn has ended, stores its text and is not deleted. A turn that ended without any
        answer is not part of its conversation.
        """
        query = partial(
            history.latest_turn_in, tenant_id=principal.tenant_id, conversation=conversation
        )
        return await self._read(query)

    async def conversation_live(self, principal: Principal, conversation: str) -> bool:
        """Return whether the conversation has an undeleted turn in flight, in any process."""
        query = partial(
            history.conversation_live, tenant_id=principal.tenant_id, conversation=conversation
        )
        return await self._read(query)

    async def delete_response(self, principal: Principal, turn_id: str, now: float) -> bool:
        """Delete the content of a turn of any kind; its row, attempts and usage are kept.

        A turn in flight stores no content from now on. Returns False if the tenant has no such
        turn or it is already deleted. A turn that was never inserted does not exist until its
        final record is written, possibly from the spool, and has to be deleted after that.
        """
        return await self._writer.submit(self._delete, Deletion(principal.tenant_id, turn_id, now))

    async def sweep(self, journal_retention_s: float) -> int:
        """Delete the journals of turns that ended more than `journal_retention_s` ago.

        Uses small transactions of whole turns, so that other writes need not wait long. Returns
        the number of deleted segments.
        """
        ended_before = self._clock() - journal_retention_s
        find = partial(turns_to_sweep, ended_before=ended_before, limit=_SWEEP_TURNS)
        swept = 0
        while found := await self._read(find):
            swept += await self._writer.submit(self._sweep, found)
        return swept

    async def probe(self) -> None:
        """Check that the store can write, by a write that changes nothing."""
        await self._writer.submit(self._probe, None)

    async def replay_spool(self) -> int:
        """Replay this process's spooled records and return their number."""
        async with self._replaying:
            if not self._parts.spool.records:
                return 0
            return await replay(self._parts.spool, self.finalise, self._parts.backend)

    async def adopt_spools(self) -> int:
        """Replay the spooled records of dead processes and return their number."""
        async with self._replaying:
            return sum(
                [await self._replay_dead(path) for path in await in_thread(self._other_spools)]
            )

    async def keep_replaying(self, settled: Callable[[], None] = lambda: None) -> None:
        """Replay the spool whenever it holds records. Runs until cancelled.

        Calls `settled` each time the database has all spooled records.
        """
        delay = _RETRY_FIRST_S
        while True:
            await self._something_spooled.wait()
            await trio.sleep(delay)
            try:
                await self.replay_spool()
                delay = _RETRY_FIRST_S
            except StoreUnavailable:
                delay = min(2 * delay, _RETRY_MAX_S)
            if not self._parts.spool.records:
                self._something_spooled = trio.Event()
                settled()

    async def aclose(self) -> None:
        """Finish the queued writes, then close everything; each takes at most ten seconds."""
        await self._writer.aclose(_CLOSE_S)
        with trio.move_on_after(_CLOSE_S, shield=True):
            await trio.to_thread.run_sync(self._parts.close, abandon_on_cancel=True)

    async def _replay_dead(self, path: Path) -> int:
        spool = await in_thread(partial(Spool.adopt, path))
        if spool is None:
            return 0
        done = False
        try:
            count = await replay(spool, self.finalise, self._parts.backend)
            done = True
        finally:
            spool.close(remove=done)
        return count

    def _note_spooled(self) -> None:
        self._something_spooled.set()

    def _other_spools(self) -> list[Path]:
        """Return the spools of all other processes, dead or alive."""
        owner = self._parts.owner
        others = owners_with(self._parts.backend.base_path, SUFFIX)
        return [owner.path_of(other, SUFFIX) for other in others if other != owner.id]

    def _orphans(self, connection: Connection) -> list[TurnView]:
        owner = self._parts.owner
        dead = [
            other
            for other in reads.owners_in_flight(connection)
            if other != owner.id and not owner.is_alive(other)
        ]
        return [turn for other in dead for turn in reads.turns_in_flight(connection, other)]

    async def _read(self, query: Callable[[Connection], T]) -> T:
        def run() -> T:
            with self._parts.engine.connect() as connection:
                return query(connection)

        try:
            return await in_thread(run, self._readers)
        except Exception as error:
            reason = self._parts.backend.unavailable_reason(error)
            if reason is None:
                raise
            raise StoreUnavailable(reason) from error


@asynccontextmanager
async def open_store(
    settings: StoreSettings, *, clock: Callable[[], float] = time.time
) -> AsyncIterator[Store]:
    """Open the store, migrate it, and replay the spools of dead processes.

    `clock` returns seconds since the epoch. Raises `StoreRefused`, whose message is one line with
    the place, the problem and the remedy.
    """
    parts = await trio.to_thread.run_sync(open_parts, settings)
    store = Store(parts, settings, clock)
    try:
        await _first_replay(store, parts)
        yield store
    finally:
        await store.aclose()


def _open(backend: Backend, settings: StoreSettings, undo: ExitStack) -> StoreParts:
    owner = Owner(backend.base_path)
    undo.callback(owner.release)
    engine = open_engine(backend, settings)
    undo.callback(engine.dispose)
    owner.remove_stale()
    spool = Spool.create(owner.path_of(owner.id, SUFFIX), settings.spool_bytes)
    return StoreParts(backend, owner, spool, engine)


async def _first_replay(store: Store, parts: StoreParts) -> None:
    try:
        await store.adopt_spools()
    except StoreUnavailable as error:
        raise StoreRefused(
            f"{parts.backend.base_path}: spooled records cannot be replayed: {error};"
            " fix that, then start again"
        ) from error
