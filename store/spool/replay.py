"""Replay of spooled records into the database: those of this process and of dead ones."""

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec
import trio

from store.database.backend import Backend
from store.database.engine import in_thread
from store.ownership.file_locks import owner_file, owners_with
from store.records.turn_records import FinalRecord, StoreUnavailable
from store.spool.spool import SUFFIX, Spool

_DECODER = msgspec.msgpack.Decoder(FinalRecord)
_THREADS = 16
_RETRY_FIRST_S = 0.5
_RETRY_MAX_S = 15.0
_log = logging.getLogger("trouper.store")

Finalise = Callable[[FinalRecord], Awaitable[object]]


class ReplayedSpool:
    """The spool of this process, and the replay of all spools next to the database.

    Finalising is a compare-and-set, so replaying a record that the database already has is
    harmless.
    """

    def __init__(self, file: Spool, backend: Backend, finalise: Finalise) -> None:
        self.file = file
        self._backend = backend
        self._finalise = finalise
        self._threads = trio.CapacityLimiter(_THREADS)
        self._replaying = trio.Lock()
        self._something_spooled = trio.Event()

    async def append(self, record: FinalRecord) -> None:
        """Write the record to the spool and sync it; raises `SpoolFailed`.

        `keep_replaying`, or else the next start, brings it into the database.
        """
        token = trio.lowlevel.current_trio_token()

        def write() -> None:
            try:
                self.file.append(msgspec.msgpack.encode(record))
            finally:
                # Not in the caller's task, which may have been cancelled by now.
                with suppress(trio.RunFinishedError):
                    token.run_sync_soon(self._note_spooled)

        await in_thread(write, self._threads)

    async def replay(self) -> int:
        """Replay this process's records and return their number; raises `StoreUnavailable`."""
        async with self._replaying:
            return await self._replay(self.file) if self.file.records else 0

    async def adopt(self) -> int:
        """Replay the records of dead processes and return their number."""
        async with self._replaying:
            return sum([await self._replay_dead(path) for path in await in_thread(self._others)])

    async def keep_replaying(self, settled: Callable[[], None] = lambda: None) -> None:
        """Replay the spool whenever it holds records. Runs until cancelled.

        Calls `settled` each time the database has all spooled records.
        """
        delay = _RETRY_FIRST_S
        while True:
            await self._something_spooled.wait()
            await trio.sleep(delay)
            try:
                await self.replay()
                delay = _RETRY_FIRST_S
            except StoreUnavailable:
                delay = min(2 * delay, _RETRY_MAX_S)
            if not self.file.records:
                self._something_spooled = trio.Event()
                settled()

    def _note_spooled(self) -> None:
        self._something_spooled.set()

    def _others(self) -> list[Path]:
        """Return the spools of all other processes, dead or alive."""
        base_path = self._backend.base_path
        paths = [owner_file(base_path, owner, SUFFIX) for owner in owners_with(base_path, SUFFIX)]
        return [path for path in paths if path != self.file.path]

    async def _replay_dead(self, path: Path) -> int:
        spool = await in_thread(partial(Spool.adopt, path))
        if spool is None:
            return 0
        done = False
        try:
            count = await self._replay(spool)
            done = True
        finally:
            spool.close(remove=done)
        return count

    async def _replay(self, spool: Spool) -> int:
        """Finalise every record of the spool, clear it, and return the number of records.

        Raises `StoreUnavailable`; the spool then still holds every record.
        """
        spool.rewind()
        count = 0
        try:
            while True:
                found = await self._finalise_unread(spool)
                count += found
                await in_thread(self._backend.sync_to_disk)
                if await in_thread(spool.clear):
                    return count
                if not found:
                    raise StoreUnavailable(f"{spool.path}: a record cannot be read back")
        except OSError as error:
            raise StoreUnavailable(f"{spool.path}: {error.strerror}") from error

    async def _finalise_unread(self, spool: Spool) -> int:
        count = 0
        while payloads := await in_thread(spool.read):
            failures: list[StoreUnavailable | OSError] = []
            async with trio.open_nursery() as nursery:
                for payload in payloads:
                    nursery.start_soon(self._finalise_one, spool, payload, failures)
            if failures:
                raise failures[0]
            count += len(payloads)
        return count

    async def _finalise_one(
        self, spool: Spool, payload: bytes, failures: list[StoreUnavailable | OSError]
    ) -> None:
        try:
            await self._finalise(_DECODER.decode(payload))
        except StoreUnavailable as error:
            failures.append(error)
        except Exception:
            # The record would fail on every retry and block all records behind it.
            _log.exception("spooled record refused, kept beside %s", spool.path)
            try:
                await in_thread(partial(spool.set_aside, payload))
            except OSError as error:
                failures.append(error)
