"""Replay of spooled records into the database."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec
import trio

from store.database.backend import Backend
from store.database.engine import in_thread
from store.records.turn_records import FinalRecord, StoreUnavailable
from store.spool.spool import Spool

_DECODER = msgspec.msgpack.Decoder(FinalRecord)
_log = logging.getLogger("trouper.store")

Finalise = Callable[[FinalRecord], Awaitable[object]]


async def replay(spool: Spool, finalise: Finalise, backend: Backend) -> int:
    """Finalise every record of the spool, clear it, and return the number of records.

    Finalising is a compare-and-set, so a record that the database already has is harmless.
    Raises `StoreUnavailable`; the spool then still holds every record.
    """
    spool.rewind()
    count = 0
    try:
        while True:
            found = await _finalise_unread(spool, finalise)
            count += found
            await in_thread(backend.sync_to_disk)
            if await in_thread(spool.clear):
                return count
            if not found:
                raise StoreUnavailable(f"{spool.path}: a record cannot be read back")
    except OSError as error:
        raise StoreUnavailable(f"{spool.path}: {error.strerror}") from error


async def _finalise_unread(spool: Spool, finalise: Finalise) -> int:
    count = 0
    while payloads := await in_thread(spool.read):
        await _finalise_all(spool, payloads, finalise)
        count += len(payloads)
    return count


async def _finalise_all(spool: Spool, payloads: list[bytes], finalise: Finalise) -> None:
    failures: list[StoreUnavailable | OSError] = []
    async with trio.open_nursery() as nursery:
        for payload in payloads:
            nursery.start_soon(_finalise_one, spool, payload, finalise, failures)
    if failures:
        raise failures[0]


async def _finalise_one(
    spool: Spool,
    payload: bytes,
    finalise: Finalise,
    failures: list[StoreUnavailable | OSError],
) -> None:
    try:
        await finalise(_DECODER.decode(payload))
    except StoreUnavailable as error:
        failures.append(error)
    except Exception:
        # The record would fail on every retry and block all records behind it.
        _log.exception("spooled record refused, kept beside %s", spool.path)
        try:
            await in_thread(partial(spool.set_aside, payload))
        except OSError as error:
            failures.append(error)
