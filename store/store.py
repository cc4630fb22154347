"""The store as the rest of Trouper sees it: `actors.ports.TurnStore`, and what the web reads."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
import trio
from msgspec import Struct
from sqlalchemy import Connection

from store import chains, reads
from store.backend import StoreRefused
from store.deletion import Deletion, Deletions
from store.finals import FinalWrites
from store.owners import owners_with
from store.parts import Parts, open_parts
from store.records import (
    ChainLink,
    ConversationBusy,
    Finalised,
    FinalRecord,
    NewTurn,
    Segment,
    StoredResponse,
    StoreUnavailable,
    TurnPage,
    TurnView,
)
from store.replay import replay
from store.retention import Upkeep, turns_to_sweep
from store.settings import StoreSettings
from store.spool import SUFFIX, Spool
from store.threads import in_thread
from store.transactions import Transactions
from store.turns import TurnWrites
from store.writer import Work, Writer

__all__ = ["Store", "StoreFigures", "StoreRefused", "StoreSettings", "open_store"]

T = TypeVar("T")

_SPOOL_THREADS = 16
_SWEEP_TURNS = 100
_RETRY_FIRST_S = 0.5
_RETRY_MOST_S = 15.0
_CLOSE_S = 10.0


class StoreFigures(Struct, frozen=True, kw_only=True):
    """How the store is doing, for metrics."""

    queued: int
    """Writes that wait for their answer."""
    commits: int
    """Transactions committed since the start."""
    failing: bool
    """Whether the last transaction found the database unavailable."""
    spooled_records: int
    """Records of this process that are not in the database yet."""
    spooled_bytes: int


class Store:
    """Everything that is kept. Made by `open_store`.

    Every method raises `StoreUnavailable` where the database is full, locked or gone. Every
    method may be cancelled; a write that was asked for is then carried out nonetheless.
    """

    def __init__(self, parts: Parts, settings: StoreSettings, clock: Callable[[], float]) -> None:
        self._parts = parts
        self._clock = clock
        self._transactions = Transactions(
            parts.engine, parts.backend, settings.busy_timeout_ms / 1000
        )
        self._writer = Writer(
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
        """This process's owner id, which the turns it begins must name."""
        return self._parts.owner.id

    @property
    def figures(self) -> StoreFigures:
        """How the store is doing now."""
        return StoreFigures(
            queued=self._writer.waiting,
            commits=self._transactions.commits,
            failing=self._transactions.failure is not None,
            spooled_records=self._parts.spool.records,
            spooled_bytes=self._parts.spool.bytes_used,
        )

    async def begin(self, turn: NewTurn) -> None:
        """Insert the turn as `in_progress`.

        Raises `ConversationBusy` where it is of a conversation in which another one plays, or one
        that it does not know of has spoken last; in whichever process.
        """
        if not await self._writer.submit(self._begin, turn):
            raise ConversationBusy(turn.conversation)

    async def checkpoint(self, segments: Sequence[Segment]) -> frozenset[str]:
        """Append segments, each only while its owner still owns its turn and it is not final.

        Returns the ids of the turns that were fenced off. A segment that stands there already
        is left alone, or made longer.
        """
        return await self._writer.submit(self._checkpoint, segments)

    async def finalise(self, record: FinalRecord) -> Finalised:
        """Write the terminal record in one transaction, if the turn is not terminal yet.

        The turn must still be its owner's: `record.turn.owner`, who may be dead. A turn that
        was never inserted is inserted now.
        """
        return await self._writer.submit(self._finalise, record)

    async def spool(self, record: FinalRecord) -> None:
        """Keep the record in the local spool, fsynced; raises `SpoolFailed`.

        `keep_replaying` brings it into the database, or the next start.
        """

        token = trio.lowlevel.current_trio_token()

        def append() -> None:
            try:
                self._parts.spool.append(msgspec.msgpack.encode(record))
            finally:
                # Not in the caller's task, which may have left by now.
                with suppress(trio.RunFinishedError):
                    token.run_sync_soon(self._note_spooled)

        await in_thread(append, self._spoolers)

    async def orphans(self) -> Sequence[TurnView]:
        """The turns in flight whose owner is dead, once what it spooled is in the database."""
        await self.adopt_spools()
        return await self._read(self._orphans)

    async def segments(self, turn_id: str) -> Sequence[Segment]:
        """What is kept of a turn's journal, in order; nothing where it was swept."""
        return await self._read(partial(reads.segments, turn_id=turn_id))

    async def get_turn(self, tenant_id: str, turn_id: str) -> TurnView | None:
        """One turn with its attempts; None where the tenant has no such turn."""
        return await self._read(partial(reads.get_turn, tenant_id=tenant_id, turn_id=turn_id))

    async def list_turns(
        self, tenant_id: str, *, limit: int, status: str | None = None, cursor: str | None = None
    ) -> TurnPage:
        """A page of at most `limit` turns, newest first, without their attempts.

        `cursor` is the `next` of the page before.
        """
        query = partial(
            reads.list_turns, tenant_id=tenant_id, limit=limit, status=status, cursor=cursor
        )
        return await self._read(query)

    async def response(self, tenant_id: str, turn_id: str) -> StoredResponse | None:
        """One turn with its items, also while it plays.

        None where the tenant has no such turn, or it is deleted, or keeps no items.
        """
        return await self._read(partial(reads.response, tenant_id=tenant_id, turn_id=turn_id))

    async def chain(
        self, tenant_id: str, turn_id: str, limit: int, most_bytes: int
    ) -> list[ChainLink]:
        """The turn and those before it, by `previous_id`, oldest first: one query.

        Of more than `limit` (at least 1), or that take more than `most_bytes` in memory, the
        newest, and one at least: the first link then has a `previous_id`. A turn that is not
        there, is deleted or keeps no items stands in its place as a link that is `lost`. Only
        the turn itself comes with its options.
        """
        query = partial(
            chains.chain,
            tenant_id=tenant_id,
            turn_id=turn_id,
            limit=limit,
            most_bytes=most_bytes,
        )
        return await self._read(query)

    async def latest_in(self, tenant_id: str, conversation: str) -> str | None:
        """The newest turn of a conversation that one can go on from; None where there is none.

        It has ended, with whatever answer, keeps its text, and is not deleted. A turn that ended
        without any answer is no part of its conversation.
        """
        query = partial(chains.latest_in, tenant_id=tenant_id, conversation=conversation)
        return await self._read(query)

    async def conversation_live(self, tenant_id: str, conversation: str) -> bool:
        """Whether a turn of the conversation plays, in whatever process, and is not deleted."""
        query = partial(chains.conversation_live, tenant_id=tenant_id, conversation=conversation)
        return await self._read(query)

    async def delete_response(self, tenant_id: str, turn_id: str, now: float) -> bool:
        """Delete what was said in a turn, of whatever kind; row, attempts and usage stay.

        Of a turn that plays nothing is kept from now on. False where the tenant has no such
        turn, or it is deleted already. One that was never inserted is none until its end is
        written, out of the spool too, and has to be deleted then.
        """
        return await self._writer.submit(self._delete, Deletion(tenant_id, turn_id, now))

    async def sweep(self, journal_retention_s: float) -> int:
        """Delete the journals of turns that ended longer ago than that.

        Goes in small transactions, each of whole turns. Returns the number of segments deleted.
        """
        ended_before = self._clock() - journal_retention_s
        find = partial(turns_to_sweep, ended_before=ended_before, limit=_SWEEP_TURNS)
        swept = 0
        while found := await self._read(find):
            swept += await self._writer.submit(self._sweep, found)
        return swept

    async def probe(self) -> None:
        """Write something that changes nothing; raises where the store cannot write now."""
        await self._writer.submit(self._probe, None)

    async def replay_spool(self) -> int:
        """Bring this process's spooled records into the database; returns how many."""
        async with self._replaying:
            if not self._parts.spool.records:
                return 0
            return await replay(self._parts.spool, self.finalise, self._parts.backend)

    async def adopt_spools(self) -> int:
        """Bring what dead processes spooled into the database; returns how many records."""
        async with self._replaying:
            return sum(
                [await self._replay_dead(path) for path in await in_thread(self._other_spools)]
            )

    async def keep_replaying(self, settled: Callable[[], None] = lambda: None) -> None:
        """Replay the spool whenever something is in it, for ever. Run it in a nursery.

        Calls `settled` whenever all that was spooled is in the database.
        """
        delay = _RETRY_FIRST_S
        while True:
            await self._something_spooled.wait()
            await trio.sleep(delay)
            try:
                await self.replay_spool()
                delay = _RETRY_FIRST_S
            except StoreUnavailable:
                delay = min(2 * delay, _RETRY_MOST_S)
            if not self._parts.spool.records:
                self._something_spooled = trio.Event()
                settled()

    async def aclose(self) -> None:
        """Finish what is queued, then let go of everything; at most ten seconds for each."""
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
        """The spools of other processes, dead ones among them."""
        owner = self._parts.owner
        others = owners_with(self._parts.backend.beside, SUFFIX)
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
            reason = self._parts.backend.trouble(error)
            if reason is None:
                raise
            raise StoreUnavailable(reason) from error


@asynccontextmanager
async def open_store(
    settings: StoreSettings, *, clock: Callable[[], float] = time.time
) -> AsyncIterator[Store]:
    """Open the store, migrated and with the spools of dead processes replayed.

    `clock` gives seconds since the epoch. Raises `StoreRefused`, whose message is one line that
    says what is wrong, where, and what to do.
    """
    parts = await trio.to_thread.run_sync(open_parts, settings)
    store = Store(parts, settings, clock)
    try:
        await _first_replay(store, parts)
        yield store
    finally:
        await store.aclose()


async def _first_replay(store: Store, parts: Parts) -> None:
    try:
        await store.adopt_spools()
    except StoreUnavailable as error:
        raise StoreRefused(
            f"{parts.backend.beside}: spooled records cannot be replayed: {error}; start again"
            " when that is over"
        ) from error
