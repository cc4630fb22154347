"""Tests of the store while another process holds an exclusive lock on the database."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from store.database.settings import StoreSettings
from store.records.turn_records import StoreUnavailable
from store.store import Store, StoreRefused, open_store
from tests.support.store_records import CALLER, a_segment, a_turn, an_end


@contextmanager
def exclusive_lock(database: Path) -> Iterator[None]:
    """Hold an exclusive lock through a separate connection."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


async def test_every_write_is_unavailable_during_lock(store: Store, database: Path) -> None:
    turn, begun = a_turn(store.ownership.id), a_turn(store.ownership.id)
    await store.turns.begin(begun)
    with exclusive_lock(database), trio.fail_after(5):
        with pytest.raises(StoreUnavailable, match="lock"):
            await store.turns.begin(turn)
        with pytest.raises(StoreUnavailable, match="lock"):
            await store.turns.checkpoint([a_segment(begun)])
        with pytest.raises(StoreUnavailable, match="lock"):
            await store.turns.finalise(an_end(begun))
        with pytest.raises(StoreUnavailable, match="lock"):
            await store.database.probe()
        assert store.database.transactions.failure is not None


async def test_store_recovers_after_lock(store: Store, database: Path) -> None:
    turn = a_turn(store.ownership.id)
    with exclusive_lock(database), pytest.raises(StoreUnavailable):
        await store.turns.begin(turn)
    await store.turns.begin(turn)
    assert store.database.transactions.failure is None
    assert (await store.turns.finalise(an_end(turn))).won


async def test_reads_work_during_lock(store: Store, database: Path) -> None:
    turn = a_turn(store.ownership.id)
    await store.turns.begin(turn)
    with exclusive_lock(database):
        assert await store.turns.get_turn(CALLER, turn.id) is not None


async def test_hundred_ends_behind_a_lock_fail_together(
    settings: StoreSettings, database: Path
) -> None:
    """It would take 50 s if each waited for the lock by itself."""
    slow = StoreSettings(url=settings.url, busy_timeout_ms=500, batch_size=1)
    refused: list[StoreUnavailable] = []
    async with open_store(slow) as store:

        async def finalise() -> None:
            with pytest.raises(StoreUnavailable) as caught:
                await store.turns.finalise(an_end(a_turn(store.ownership.id)))
            refused.append(caught.value)

        with exclusive_lock(database), trio.fail_after(4):
            async with trio.open_nursery() as nursery:
                for _ in range(100):
                    nursery.start_soon(finalise)
    assert len(refused) == 100
    assert {str(error) for error in refused} == {"another process holds a lock on the database"}
    # One exception for many tasks would mix up their tracebacks.
    assert len({id(error) for error in refused}) == 100


async def test_close_does_not_wait_for_lock(settings: StoreSettings, database: Path) -> None:
    with trio.fail_after(5):
        async with open_store(settings) as store:
            await store.turns.begin(a_turn(store.ownership.id))
            lock = exclusive_lock(database)
            lock.__enter__()
        lock.__exit__(None, None, None)


async def test_lock_at_startup_is_reported(settings: StoreSettings, database: Path) -> None:
    async with open_store(settings):
        pass
    with exclusive_lock(database), pytest.raises(StoreRefused) as caught:
        async with open_store(settings):
            pass
    message = str(caught.value)
    assert message == (
        f"{database}: another process holds a lock on the database;"
        " stop the process that holds it, then start again"
    )
