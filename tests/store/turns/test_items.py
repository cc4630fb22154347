"""Tests of the stored items of a turn: input items and answer items."""

import sqlite3
from pathlib import Path

import pytest
from msgspec import msgpack

from store.database.settings import StoreSettings
from store.records.turn_records import NewTurn
from store.store import Store, open_store
from tests.store.spool.test_replay import make_dead_spool
from tests.support.database_inspection import failing_writes, rows
from tests.support.store_records import (
    CALLER,
    a_response,
    a_segment,
    a_turn,
    an_end,
    caller,
)


async def test_input_items_are_stored_at_begin(store: Store) -> None:
    turn = a_response(store.ownership.id)
    await store.turns.begin(turn)
    found = await store.turns.response(CALLER, turn.id)
    assert found is not None
    assert (found.input_items, found.answer_items) == ('["asked"]', "[]")
    assert (found.turn.status, found.turn.text, found.turn.keeps_items) == ("in_progress", "", True)


async def test_answer_items_are_stored_at_end(store: Store) -> None:
    before = a_response(store.ownership.id)
    turn = a_response(store.ownership.id, before.id, conversation="chat")
    await store.turns.begin(turn)
    await store.turns.finalise(an_end(turn, items='["said"]'))
    found = await store.turns.response(CALLER, turn.id)
    assert found is not None
    assert (found.input_items, found.answer_items) == ('["asked"]', '["said"]')
    assert (found.turn.text, found.turn.dialect_options) == ("Hello", turn.dialect_options)
    assert (found.turn.previous_id, found.turn.conversation) == (before.id, "chat")
    seen = await store.turns.get_turn(CALLER, turn.id)
    assert seen is not None
    assert (seen.previous_id, seen.conversation, seen.keeps_items) == (before.id, "chat", True)


async def test_items_without_text_are_stored(store: Store) -> None:
    """An answer may consist of reasoning only."""
    turn = a_response(store.ownership.id)
    await store.turns.begin(turn)
    await store.turns.finalise(an_end(turn, text="", items='["thought"]'))
    found = await store.turns.response(CALLER, turn.id)
    assert found is not None
    assert (found.turn.text, found.answer_items) == ("", '["thought"]')


async def test_end_of_unknown_turn_stores_its_input_items(store: Store) -> None:
    turn = a_response(store.ownership.id)
    await store.turns.finalise(an_end(turn, items='["said"]'))
    found = await store.turns.response(CALLER, turn.id)
    assert found is not None
    assert (found.input_items, found.answer_items) == ('["asked"]', '["said"]')


async def test_input_items_are_stored_once(store: Store, database: Path) -> None:
    turn = a_response(store.ownership.id)
    await store.turns.begin(turn)
    await store.turns.finalise(an_end(turn, items='["said"]'))
    await store.turns.finalise(an_end(turn, items='["late"]'))
    kept = {(row["role"], row["items"]) for row in rows(database, "messages")}
    assert kept == {("input", '["asked"]'), ("assistant", '["said"]')}


async def test_chat_turn_has_no_items(store: Store, database: Path) -> None:
    turn = a_turn(store.ownership.id)
    await store.turns.begin(turn)
    assert rows(database, "messages") == []
    await store.turns.finalise(an_end(turn))
    assert [row["items"] for row in rows(database, "messages")] == [None]
    assert await store.turns.response(CALLER, turn.id) is None
    seen = await store.turns.get_turn(CALLER, turn.id)
    assert seen is not None
    assert not seen.keeps_items


@pytest.mark.parametrize("begun", [True, False])
async def test_without_text_no_items_are_stored(store: Store, database: Path, begun: bool) -> None:
    turn = a_response(store.ownership.id, keep_text=False)
    if begun:
        await store.turns.begin(turn)
    await store.turns.finalise(an_end(turn, items='["said"]'))
    assert rows(database, "messages") == []
    assert await store.turns.response(CALLER, turn.id) is None


async def test_items_are_visible_to_their_tenant_only(store: Store, database: Path) -> None:
    turn = a_response(store.ownership.id, tenant="tenant_b")
    await store.turns.begin(turn)
    await store.turns.finalise(an_end(turn, items='["said"]'))
    assert await store.turns.response(CALLER, turn.id) is None
    assert await store.turns.response(caller("tenant_b"), turn.id) is not None
    assert {row["tenant_id"] for row in rows(database, "messages")} == {"tenant_b"}


@pytest.mark.parametrize("begun", [True, False])
async def test_spooled_record_contains_items(store: Store, begun: bool) -> None:
    turn = a_response(store.ownership.id)
    if begun:
        await store.turns.begin(turn)
    await store.spool.append(an_end(turn, items='["said"]'))
    assert await store.spool.replay() == 1
    await assert_kept(store, turn)


@pytest.mark.parametrize("begun", [True, False])
async def test_dead_process_spool_contains_items(
    settings: StoreSettings, database: Path, begun: bool
) -> None:
    turn = a_response("own_dead")
    if begun:
        async with open_store(settings) as store:
            await store.turns.begin(turn)
    make_dead_spool(database, 0, msgpack.encode(an_end(turn, items='["said"]')))
    async with open_store(settings) as store:
        await assert_kept(store, turn)


async def assert_kept(store: Store, turn: NewTurn) -> None:
    """Check that the turn is completed and has its input and answer items."""
    found = await store.turns.response(CALLER, turn.id)
    assert found is not None
    assert (found.input_items, found.answer_items) == ('["asked"]', '["said"]')
    assert found.turn.status == "completed"


async def test_failed_begin_writes_nothing(store: Store, database: Path) -> None:
    turn = a_response(store.ownership.id)
    with failing_writes(database, "messages"), pytest.raises(sqlite3.IntegrityError):
        await store.turns.begin(turn)
    assert rows(database, "turns") == rows(database, "messages") == []
    await store.turns.begin(turn)
    assert await store.turns.response(CALLER, turn.id) is not None


@pytest.mark.parametrize("table", ["messages", "turn_segments", "turn_attempts", "usage_records"])
@pytest.mark.parametrize("begun", [True, False])
async def test_failed_end_with_items_writes_nothing(
    store: Store, database: Path, table: str, begun: bool
) -> None:
    turn = a_response(store.ownership.id)
    if begun:
        await store.turns.begin(turn)
    before = everything(database)
    end = an_end(turn, items='["said"]', segment=a_segment(turn, 0, 12))
    with failing_writes(database, table), pytest.raises(sqlite3.IntegrityError):
        await store.turns.finalise(end)
    assert everything(database) == before
    assert (await store.turns.finalise(end)).won
    await assert_kept(store, turn)


def everything(database: Path) -> dict[str, list[dict[str, object]]]:
    """Return the rows of all tables of turns."""
    tables = ("turns", "messages", "turn_segments", "turn_steps", "turn_attempts", "usage_records")
    return {table: rows(database, table) for table in tables}
