"""A database that breaks while it is open, and one that does not."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import event

from store.engine import backend_for, open_engine
from store.records import StoreUnavailable
from store.settings import StoreSettings
from store.store import open_store
from tests.store.builders import TENANT, a_segment, a_turn


def damage(database: Path) -> None:
    """Move everything into the file, and then write over it."""
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with database.open("r+b") as file:
        file.write(b"\xa5" * 4096 * 20)


async def test_reading_and_writing_say_that_it_is_damaged(
    settings: StoreSettings, database: Path
) -> None:
    async with open_store(settings) as store:
        await store.begin(a_turn(store.owner))
        damage(database)
        with pytest.raises(StoreUnavailable, match="the database file is damaged"):
            await store.list_turns(TENANT, limit=9)
        with pytest.raises(StoreUnavailable, match="the database file is damaged"):
            await store.begin(a_turn(store.owner))


async def test_a_probe_writes(settings: StoreSettings, database: Path) -> None:
    async with open_store(settings) as store:
        log = database.with_name(f"{database.name}-wal")
        before = log.stat().st_size
        await store.probe()
        assert log.stat().st_size > before


async def test_a_large_database_opens_without_being_read_whole(
    settings: StoreSettings, database: Path
) -> None:
    async with open_store(settings) as store:
        turn = a_turn(store.owner)
        await store.begin(turn)
        for number in range(5):
            await store.checkpoint([a_segment(turn, number, number, b"x" * (2 << 20))])
    backend = backend_for(settings)
    asked: list[str] = []
    engine = backend.engine()
    event.listen(
        engine, "connect", lambda connection, _entry: connection.set_trace_callback(asked.append)
    )
    backend.check(engine)
    engine.dispose()
    assert asked
    assert not any("quick_check" in text for text in asked)
    open_engine(backend, settings).dispose()


def put_aside(database: Path) -> Path:
    return database.rename(database.with_name("kept.db"))


def put_back(kept: Path, database: Path) -> None:
    kept.rename(database)


async def test_a_file_that_is_gone_or_another_takes_nothing(
    settings: StoreSettings, database: Path
) -> None:
    async with open_store(settings) as store:
        await store.begin(a_turn(store.owner))
        kept = put_aside(database)
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="deleted or replaced"):
                await store.begin(a_turn(store.owner))
            with pytest.raises(StoreUnavailable, match="deleted or replaced"):
                await store.list_turns(TENANT, limit=9)
            database.touch()  # noqa: ASYNC240
        put_back(kept, database)
        assert len((await store.list_turns(TENANT, limit=9)).data) == 1
