"""Tests of a database file that is damaged, moved or replaced while it is open."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import event

from store.database.engine import backend_for, open_engine
from store.database.settings import StoreSettings
from store.records.turn_records import StoreUnavailable
from store.store import open_store
from tests.support.store_records import CALLER, a_segment, a_turn


def damage(database: Path) -> None:
    """Move the log into the database file, then overwrite the file's first pages."""
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with database.open("r+b") as file:
        file.write(b"\xa5" * 4096 * 20)


async def test_read_and_write_report_a_damaged_file(
    settings: StoreSettings, database: Path
) -> None:
    async with open_store(settings) as store:
        await store.turns.begin(a_turn(store.ownership.id))
        damage(database)
        with pytest.raises(StoreUnavailable, match="the database file is damaged"):
            await store.turns.list_turns(CALLER, limit=9)
        with pytest.raises(StoreUnavailable, match="the database file is damaged"):
            await store.turns.begin(a_turn(store.ownership.id))


async def test_probe_writes_to_the_log(settings: StoreSettings, database: Path) -> None:
    async with open_store(settings) as store:
        log = database.with_name(f"{database.name}-wal")
        before = log.stat().st_size
        await store.database.probe()
        assert log.stat().st_size > before


async def test_large_database_opens_without_full_check(
    settings: StoreSettings, database: Path
) -> None:
    async with open_store(settings) as store:
        turn = a_turn(store.ownership.id)
        await store.turns.begin(turn)
        for number in range(5):
            await store.turns.checkpoint([a_segment(turn, number, number, b"x" * (2 << 20))])
    backend = backend_for(settings)
    executed: list[str] = []
    engine = backend.engine()
    event.listen(
        engine, "connect", lambda connection, _entry: connection.set_trace_callback(executed.append)
    )
    backend.check(engine)
    engine.dispose()
    assert executed
    assert not any("quick_check" in text for text in executed)
    open_engine(backend).dispose()


def move_away(database: Path) -> Path:
    return database.rename(database.with_name("kept.db"))


def move_back(kept: Path, database: Path) -> None:
    kept.rename(database)


async def test_moved_or_replaced_file_makes_store_unavailable(
    settings: StoreSettings, database: Path
) -> None:
    async with open_store(settings) as store:
        await store.turns.begin(a_turn(store.ownership.id))
        kept = move_away(database)
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="deleted or replaced"):
                await store.turns.begin(a_turn(store.ownership.id))
            with pytest.raises(StoreUnavailable, match="deleted or replaced"):
                await store.turns.list_turns(CALLER, limit=9)
            database.touch()  # noqa: ASYNC240
        move_back(kept, database)
        assert len((await store.turns.list_turns(CALLER, limit=9)).data) == 1
