"""Tests of deletion: content stays deleted whatever is written later, accounting is kept."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from msgspec import msgpack
from msgspec.structs import replace

from actors.finalisation.recovery import recover
from actors.journal.checkpointer import encode_events
from actors.turn.events import Started, Text
from store.database.settings import StoreSettings
from store.records.turn_records import Finalised, FinalRecord, NewTurn, StoreUnavailable
from store.store import Store, open_store
from tests.store.database.test_lock import exclusive_lock
from tests.store.spool.test_replay import make_dead_spool
from tests.store.turns.test_items import everything
from tests.support.database_inspection import failing_writes, rows
from tests.support.store_records import (
    CALLER,
    a_response,
    a_segment,
    a_turn,
    an_end,
    caller,
)

CONTENT_TABLES = ("messages", "turn_segments")
ACCOUNTING_TABLES = ("turn_steps", "turn_attempts", "usage_records")
NOW = 2000.0


def a_full_end(turn: NewTurn) -> FinalRecord:
    """Return a final record with text, items and a segment."""
    return an_end(turn, text="secret", items='["secret"]', segment=a_segment(turn, 0, 12))


async def assert_content_deleted(store: Store, database: Path, turn: NewTurn) -> None:
    """Check that no content of the turn is left, and that its row is marked as deleted."""
    for table in CONTENT_TABLES:
        assert [row for row in rows(database, table) if row["turn_id"] == turn.id] == []
    assert await store.turns.response(caller(turn.tenant_id), turn.id) is None
    assert await store.turns.segments(turn.id) == []
    seen = await store.turns.get_turn(caller(turn.tenant_id), turn.id)
    assert seen is not None
    assert (seen.text, seen.deleted_at, seen.dialect_options) == ("", NOW, {})


@pytest.mark.parametrize("make", [a_turn, a_response])
async def test_delete_removes_content_and_keeps_accounting(
    store: Store, database: Path, make: Callable[[str], NewTurn]
) -> None:
    turn, other = make(store.ownership.id), make(store.ownership.id)
    for each in (turn, other):
        await store.turns.begin(each)
        await store.turns.finalise(a_full_end(each))
    before = everything(database)
    assert await store.turns.delete_response(CALLER, turn.id, NOW)
    await assert_content_deleted(store, database, turn)
    after = everything(database)
    for table in ACCOUNTING_TABLES:
        assert after[table] == before[table]
    for table in CONTENT_TABLES:
        assert after[table] == [row for row in before[table] if row["turn_id"] == other.id]
    seen = await store.turns.get_turn(CALLER, turn.id)
    assert seen is not None
    end = a_full_end(turn)
    assert (seen.status, seen.reason, seen.usage) == ("completed", "stop", end.usage)
    assert seen.attempts == end.steps[0].attempts


async def test_second_deletion_returns_false(store: Store, database: Path) -> None:
    turn = a_response(store.ownership.id)
    await store.turns.finalise(a_full_end(turn))
    assert await store.turns.delete_response(CALLER, turn.id, NOW)
    assert not await store.turns.delete_response(CALLER, turn.id, NOW + 1)
    await assert_content_deleted(store, database, turn)


async def test_one_of_many_simultaneous_deletions_returns_true(store: Store) -> None:
    turn = a_response(store.ownership.id)
    await store.turns.finalise(a_full_end(turn))
    answers: list[bool] = []

    async def delete() -> None:
        answers.append(await store.turns.delete_response(CALLER, turn.id, NOW))

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(delete)
    assert sorted(answers) == [False] * 49 + [True]


async def test_turn_of_another_tenant_or_unknown_turn_is_not_deleted(store: Store) -> None:
    turn = a_response(store.ownership.id)
    await store.turns.finalise(a_full_end(turn))
    assert not await store.turns.delete_response(caller("tenant_b"), turn.id, NOW)
    assert not await store.turns.delete_response(CALLER, "turn_unknown", NOW)
    assert await store.turns.response(CALLER, turn.id) is not None


async def test_deleted_content_is_overwritten_on_disk(
    settings: StoreSettings, database: Path
) -> None:
    async with open_store(settings) as store:
        turn = a_response(store.ownership.id, items='["topsecret"]')
        turn = replace(turn, dialect_options={"echo": "topsecret"})
        await store.turns.begin(turn)
        await store.turns.checkpoint([a_segment(turn, 0, 9, b"topsecret" * 1000)])
        await store.turns.finalise(an_end(turn, text="topsecret", items='["topsecret"]'))
        await store.turns.delete_response(CALLER, turn.id, NOW)
    assert not any(b"topsecret" in path.read_bytes() for path in database.parent.iterdir())


async def test_turn_deleted_in_flight_ends_without_content(store: Store, database: Path) -> None:
    turn = a_response(store.ownership.id)
    await store.turns.begin(turn)
    await store.turns.checkpoint([a_segment(turn, 0, 4)])
    assert await store.turns.delete_response(CALLER, turn.id, NOW)
    await assert_content_deleted(store, database, turn)

    assert await store.turns.checkpoint([a_segment(turn, 5, 9)]) == frozenset()
    await assert_content_deleted(store, database, turn)

    end = a_full_end(turn)
    assert await store.turns.finalise(end) == Finalised(won=True, status="completed", reason="stop")
    await assert_content_deleted(store, database, turn)
    seen = await store.turns.get_turn(CALLER, turn.id)
    assert seen is not None
    assert (seen.status, seen.usage, seen.last_event) == ("completed", end.usage, end.last_event)
    assert seen.attempts == end.steps[0].attempts
    assert not await store.turns.delete_response(CALLER, turn.id, NOW + 1)


async def test_turn_deleted_in_flight_keeps_no_text_that_guards_removed(
    store: Store, database: Path
) -> None:
    turn = a_response(store.ownership.id)
    await store.turns.begin(turn)
    assert await store.turns.delete_response(CALLER, turn.id, NOW)
    await store.turns.finalise(replace(a_full_end(turn), verdicts='[{"original": "secret"}]'))
    assert [row["verdicts"] for row in rows(database, "turns")] == [None]


async def test_deleted_turn_ends_once(store: Store, database: Path) -> None:
    turn = a_response(store.ownership.id)
    await store.turns.begin(turn)
    await store.turns.delete_response(CALLER, turn.id, NOW)
    stranger = replace(a_full_end(turn), turn=replace(turn, owner="own_other"))
    assert await store.turns.finalise(stranger) == Finalised(False, "in_progress", "")
    assert (await store.turns.finalise(a_full_end(turn))).won
    late = an_end(turn, status="failed", reason="owner_lost")
    assert await store.turns.finalise(late) == Finalised(False, "completed", "stop")
    assert len(rows(database, "usage_records")) == 1


async def test_deletion_does_not_affect_other_checkpoints_of_batch(store: Store) -> None:
    deleted, other, lost = (
        a_response(store.ownership.id),
        a_turn(store.ownership.id),
        a_turn("own_other"),
    )
    for turn in (deleted, other, lost):
        await store.turns.begin(turn)
    await store.turns.delete_response(CALLER, deleted.id, NOW)
    stolen = replace(a_segment(lost), owner=store.ownership.id)
    fenced = await store.turns.checkpoint([a_segment(deleted), a_segment(other), stolen])
    assert fenced == {lost.id}
    assert [len(await store.turns.segments(turn.id)) for turn in (deleted, other)] == [0, 1]


async def test_simultaneous_end_and_deletion_leave_no_content(store: Store, database: Path) -> None:
    turns = [a_response(store.ownership.id) for _ in range(50)]
    async with trio.open_nursery() as nursery:
        for number, turn in enumerate(turns):
            nursery.start_soon(store.turns.begin, turn)
            requests = [
                lambda turn=turn: store.turns.finalise(a_full_end(turn)),
                lambda turn=turn: store.turns.delete_response(CALLER, turn.id, NOW),
            ]
            for request in requests if number % 2 else reversed(requests):
                nursery.start_soon(request)
    for turn in turns:
        await assert_content_deleted(store, database, turn)
    assert len(rows(database, "usage_records")) == 50


async def test_spooled_end_of_deleted_turn_is_replayed_without_content(
    store: Store, database: Path
) -> None:
    turn = a_response(store.ownership.id)
    await store.turns.begin(turn)
    await store.spool.append(a_full_end(turn))
    await store.turns.delete_response(CALLER, turn.id, NOW)
    assert await store.spool.replay() == 1
    await assert_content_deleted(store, database, turn)
    assert len(rows(database, "usage_records")) == 1
    (spool,) = database.parent.glob("*.spool")
    assert b"secret" not in spool.read_bytes()


async def test_dead_process_spool_is_replayed_without_deleted_content(
    settings: StoreSettings, database: Path
) -> None:
    turn = a_response("own_dead")
    async with open_store(settings) as store:
        await store.turns.begin(turn)
        await store.turns.delete_response(CALLER, turn.id, NOW)
    make_dead_spool(database, 0, msgpack.encode(a_full_end(turn)))
    async with open_store(settings) as store:
        await assert_content_deleted(store, database, turn)
        assert await store.turns.orphans() == []


async def test_deleted_orphan_is_recovered_without_content(store: Store, database: Path) -> None:
    turn = a_response("own_dead")
    await store.turns.begin(turn)
    events = [Started(turn_id=turn.id, model="m", provider="p", upstream_model="u", created_at=1.0)]
    await store.turns.checkpoint([a_segment(turn, 0, 0, encode_events(events))])
    (orphan,) = await store.turns.orphans()
    await store.turns.delete_response(CALLER, turn.id, NOW)
    late = a_segment(turn, 1, 1, encode_events([Text("late")]))
    await store.turns.checkpoint([late])
    assert orphan.keeps_items
    assert await recover(store.turns, store.spool, lambda: 3000.0) == 1
    await assert_content_deleted(store, database, turn)
    seen = await store.turns.get_turn(CALLER, turn.id)
    assert seen is not None
    assert (seen.status, seen.reason) == ("failed", "owner_lost")


async def test_orphan_deleted_during_recovery_is_recovered_without_content(
    store: Store, database: Path
) -> None:
    """Content that recovery read before the deletion is not written after it."""
    turn = a_response("own_dead")
    await store.turns.begin(turn)
    await store.turns.checkpoint([a_segment(turn, 0, 4)])
    record = a_full_end(turn)
    await store.turns.delete_response(CALLER, turn.id, NOW)
    assert (await store.turns.finalise(record)).won
    await assert_content_deleted(store, database, turn)


@pytest.mark.parametrize("table", ["turn_attempts", "usage_records"])
async def test_failed_end_of_deleted_turn_writes_nothing(
    store: Store, database: Path, table: str
) -> None:
    turn = a_response(store.ownership.id)
    await store.turns.begin(turn)
    await store.turns.delete_response(CALLER, turn.id, NOW)
    before = everything(database)
    with failing_writes(database, table), pytest.raises(sqlite3.IntegrityError):
        await store.turns.finalise(a_full_end(turn))
    assert everything(database) == before
    assert (await store.turns.finalise(a_full_end(turn))).won
    await assert_content_deleted(store, database, turn)


async def test_failed_deletion_deletes_nothing(store: Store, database: Path) -> None:
    turn = a_response(store.ownership.id)
    await store.turns.begin(turn)
    await store.turns.finalise(a_full_end(turn))
    before = everything(database)
    with exclusive_lock(database), pytest.raises(StoreUnavailable, match="lock"):
        await store.turns.delete_response(CALLER, turn.id, NOW)
    assert everything(database) == before
    for table in CONTENT_TABLES:
        refusing = failing_writes(database, table, "DELETE")
        with refusing, pytest.raises(sqlite3.IntegrityError):
            await store.turns.delete_response(CALLER, turn.id, NOW)
        assert everything(database) == before
    assert await store.turns.delete_response(CALLER, turn.id, NOW)


async def test_turn_without_text_can_be_deleted(store: Store, database: Path) -> None:
    turn = a_response(store.ownership.id, keep_text=False)
    await store.turns.finalise(a_full_end(turn))
    assert await store.turns.delete_response(CALLER, turn.id, NOW)
    await assert_content_deleted(store, database, turn)


async def test_list_shows_deletion_time(store: Store) -> None:
    turn = a_turn(store.ownership.id)
    await store.turns.finalise(a_full_end(turn))
    await store.turns.delete_response(CALLER, turn.id, NOW)
    (seen,) = (await store.turns.list_turns(CALLER, limit=9)).data
    assert (seen.text, seen.deleted_at) == ("", NOW)
