"""Opens the store: composes the repositories with what they share.

A new family of rows is a folder with a repository, an attribute of `Store` and one line in
`open_store`.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass

import trio
from msgspec import Struct
from sqlalchemy import Engine

from store.conversations.repository import ConversationRepository
from store.database.backend import Backend, StoreRefused
from store.database.database import Database
from store.database.engine import backend_for, open_engine
from store.database.settings import StoreSettings
from store.ownership.file_locks import FileLocks, owner_file
from store.ownership.ownership import Ownership
from store.records.turn_records import StoreUnavailable
from store.spool.replay import ReplayedSpool
from store.spool.spool import SUFFIX, Spool
from store.turns.repository import TurnRepository

__all__ = ["Store", "StoreFigures", "StoreRefused", "StoreSettings", "open_store"]

_CLOSE_S = 10.0


class StoreFigures(Struct, frozen=True, kw_only=True):
    """The state of the store, for metrics."""

    queued: int
    """Number of writes that wait for their result."""
    spooled_records: int
    """Number of this process's records that are not in the database yet."""
    spooled_bytes: int
    """Size in bytes of those records."""


@dataclass(frozen=True)
class Store:
    """The open store. Create it with `open_store`."""

    database: Database
    ownership: Ownership
    turns: TurnRepository
    conversations: ConversationRepository
    spool: ReplayedSpool

    @property
    def figures(self) -> StoreFigures:
        """The current state of the store."""
        return StoreFigures(
            queued=self.database.writer.waiting,
            spooled_records=self.spool.file.records,
            spooled_bytes=self.spool.file.bytes_used,
        )


@asynccontextmanager
async def open_store(
    settings: StoreSettings, *, clock: Callable[[], float] = time.time
) -> AsyncIterator[Store]:
    """Open the store, migrate it, and replay the spools of dead processes.

    At the end it finishes the queued writes, then closes everything; each takes at most ten
    seconds. `clock` returns seconds since the epoch. Raises `StoreRefused`, whose message is one
    line with the place, the problem and the remedy.
    """
    closing = ExitStack()
    backend, ownership, file, engine = await trio.to_thread.run_sync(_open, settings, closing)
    database = Database(engine, backend, settings)
    turns = TurnRepository(database, ownership, clock)
    conversations = ConversationRepository(database)
    spool = ReplayedSpool(file, backend, turns.finalise)
    store = Store(database, ownership, turns, conversations, spool)
    try:
        await _first_replay(store)
        yield store
    finally:
        await database.writer.aclose(_CLOSE_S)  # noqa: ASYNC102 (shielded inside, with a deadline)
        with trio.move_on_after(_CLOSE_S, shield=True):
            await trio.to_thread.run_sync(closing.close, abandon_on_cancel=True)


def _open(settings: StoreSettings, closing: ExitStack) -> tuple[Backend, FileLocks, Spool, Engine]:
    """Open the database and this process's own files next to it, or none of them."""
    backend = backend_for(settings)
    with ExitStack() as undo:
        undo.callback(backend.remove)
        try:
            ownership = FileLocks(backend.base_path)
            undo.callback(ownership.release)
            engine = open_engine(backend)
            undo.callback(engine.dispose)
            ownership.remove_stale()
            path = owner_file(backend.base_path, ownership.id, SUFFIX)
            spool = Spool.create(path, settings.spool_bytes)
            # A spool that still holds records is left for the next start.
            undo.callback(lambda: spool.close(remove=spool.records == 0))
        except OSError as error:
            raise StoreRefused(backend.opening_error(error) or str(error)) from error
        closing.push(undo.pop_all())
    return backend, ownership, spool, engine


async def _first_replay(store: Store) -> None:
    try:
        await store.spool.adopt()
    except StoreUnavailable as error:
        raise StoreRefused(
            f"{store.database.backend.base_path}: spooled records cannot be replayed: {error};"
            " fix that, then start again"
        ) from error
