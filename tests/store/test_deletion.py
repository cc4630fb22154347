"""Deleting a turn: what was said is gone for good, whatever comes later; the account stays."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from msgspec import msgpack
from msgspec.structs import replace

from actors.checkpointer import encode_events
from actors.events import Started, Text
from actors.recovery import recover
from store.records import Finalised, FinalRecord, NewTurn, StoreUnavailable
from store.settings import StoreSettings
from store.store import Store, open_store
from tests.store.builders import TENANT, a_response, a_segment, a_turn, an_end
from tests.store.looking import failing_writes, rows
from tests.store.test_items import everything
from tests.store.test_lock import exclusive_lock
from tests.store.test_replay import left_behind

SAID = ("messages", "turn_segments")
ACCOUNTS = ("turn_steps", "turn_attempts", "usage_records")
NOW = 2000.0


def a_whole_end(turn: NewTurn) -> FinalRecord:
    """An end that brings all that an end can bring."""
    return an_end(turn, text="secret", items='["secret"]', segment=a_segment(turn, 0, 12))


async def assert_nothing_said(store: Store, database: Path, turn: NewTurn) -> None:
    """Nothing that was said is to be found; the row is, and says so."""
    for table in SAID:
        assert [row for row in rows(database, table) if row["turn_id"] == turn.id] == []
    assert await store.response(turn.tenant_id, turn.id) is None
    assert await store.segments(turn.id) == []
    seen = await store.get_turn(turn.tenant_id, turn.id)
    assert seen is not None
    assert (seen.text, seen.deleted_at, seen.dialect_options) == ("", NOW, {})


@pytest.mark.parametrize("make", [a_turn, a_response])
async def test_what_was_said_goes_and_the_account_stays(
    store: Store, database: Path, make: Callable[[str], NewTurn]
) -> None:
    turn, other = make(store.owner), make(store.owner)
    for each in (turn, other):
        await store.begin(each)
        await store.finalise(a_whole_end(each))
    before = everything(database)
    assert await store.delete_response(TENANT, turn.id, NOW)
    await assert_nothing_said(store, database, turn)
    after = everything(database)
    for table in ACCOUNTS:
        assert after[table] == before[table]
    for table in SAID:
        assert after[table] == [row for row in before[table] if row["turn_id"] == other.id]
    seen = await store.get_turn(TENANT, turn.id)
    assert seen is not None
    end = a_whole_end(turn)
    assert (seen.status, seen.reason, seen.usage) == ("completed", "stop", end.usage)
    assert seen.attempts == end.steps[0].attempts


async def test_a_second_deletion_finds_nothing(store: Store, database: Path) -> None:
    turn = a_response(store.owner)
    await store.finalise(a_whole_end(turn))
    assert await store.delete_response(TENANT, turn.id, NOW)
    assert not await store.delete_response(TENANT, turn.id, NOW + 1)
    await assert_nothing_said(store, database, turn)


async def test_of_many_deletions_at_once_one_does_it(store: Store) -> None:
    turn = a_response(store.owner)
    await store.finalise(a_whole_end(turn))
    answers: list[bool] = []

    async def delete() -> None:
        answers.append(await store.delete_response(TENANT, turn.id, NOW))

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(delete)
    assert sorted(answers) == [False] * 49 + [True]


async def test_a_foreign_or_unknown_turn_is_not_deleted(store: Store) -> None:
    turn = a_response(store.owner)
    await store.finalise(a_whole_end(turn))
    assert not await store.delete_response("tenant_b", turn.id, NOW)
    assert not await store.delete_response(TENANT, "turn_unknown", NOW)
    assert await store.response(TENANT, turn.id) is not None


async def test_no_byte_of_it_is_left(settings: StoreSettings, database: Path) -> None:
    async with open_store(settings) as store:
        turn = a_response(store.owner, items='["topsecret"]')
        turn = replace(turn, dialect_options={"echo": "topsecret"})
        await store.begin(turn)
        await store.checkpoint([a_segment(turn, 0, 9, b"topsecret" * 1000)])
        await store.finalise(an_end(turn, text="topsecret", items='["topsecret"]'))
        await store.delete_response(TENANT, turn.id, NOW)
    assert not any(b"topsecret" in path.read_bytes() for path in database.parent.iterdir())


async def test_a_turn_deleted_in_flight_ends_without_words(store: Store, database: Path) -> None:
    turn = a_response(store.owner)
    await store.begin(turn)
    await store.checkpoint([a_segment(turn, 0, 4)])
    assert await store.delete_response(TENANT, turn.id, NOW)
    await assert_nothing_said(store, database, turn)

    assert await store.checkpoint([a_segment(turn, 5, 9)]) == frozenset()
    await assert_nothing_said(store, database, turn)

    end = a_whole_end(turn)
    assert await store.finalise(end) == Finalised(won=True, status="completed", reason="stop")
    await assert_nothing_said(store, database, turn)
    seen = await store.get_turn(TENANT, turn.id)
    assert seen is not None
    assert (seen.status, seen.usage, seen.last_event) == ("completed", end.usage, end.last_event)
    assert seen.attempts == end.steps[0].attempts
    assert not await store.delete_response(TENANT, turn.id, NOW + 1)


async def test_a_deleted_turn_ends_once(store: Store, database: Path) -> None:
    turn = a_response(store.owner)
    await store.begin(turn)
    await store.delete_response(TENANT, turn.id, NOW)
    stranger = replace(a_whole_end(turn), turn=replace(turn, owner="own_other"))
    assert await store.finalise(stranger) == Finalised(False, "in_progress", "")
    assert (await store.finalise(a_whole_end(turn))).won
    late = an_end(turn, status="failed", reason="owner_lost")
    assert await store.finalise(late) == Finalised(False, "completed", "stop")
    assert len(rows(database, "usage_records")) == 1


async def test_other_checkpoints_of_the_batch_are_kept(store: Store) -> None:
    deleted, other, lost = a_response(store.owner), a_turn(store.owner), a_turn("own_other")
    for turn in (deleted, other, lost):
        await store.begin(turn)
    await store.delete_response(TENANT, deleted.id, NOW)
    stolen = replace(a_segment(lost), owner=store.owner)
    fenced = await store.checkpoint([a_segment(deleted), a_segment(other), stolen])
    assert fenced == {lost.id}
    assert [len(await store.segments(turn.id)) for turn in (deleted, other)] == [0, 1]


async def test_end_and_deletion_may_be_asked_for_at_once(store: Store, database: Path) -> None:
    turns = [a_response(store.owner) for _ in range(50)]
    async with trio.open_nursery() as nursery:
        for number, turn in enumerate(turns):
            nursery.start_soon(store.begin, turn)
            asked = [
                lambda turn=turn: store.finalise(a_whole_end(turn)),
                lambda turn=turn: store.delete_response(TENANT, turn.id, NOW),
            ]
            for ask in asked if number % 2 else reversed(asked):
                nursery.start_soon(ask)
    for turn in turns:
        await assert_nothing_said(store, database, turn)
    assert len(rows(database, "usage_records")) == 50


async def test_a_spooled_end_is_replayed_without_words(store: Store, database: Path) -> None:
    turn = a_response(store.owner)
    await store.begin(turn)
    await store.spool(a_whole_end(turn))
    await store.delete_response(TENANT, turn.id, NOW)
    assert await store.replay_spool() == 1
    await assert_nothing_said(store, database, turn)
    assert len(rows(database, "usage_records")) == 1
    (spool,) = database.parent.glob("*.spool")
    assert b"secret" not in spool.read_bytes()


async def test_the_spool_of_a_dead_process_is_replayed_without_words(
    settings: StoreSettings, database: Path
) -> None:
    turn = a_response("own_dead")
    async with open_store(settings) as store:
        await store.begin(turn)
        await store.delete_response(TENANT, turn.id, NOW)
    left_behind(database, 0, msgpack.encode(a_whole_end(turn)))
    async with open_store(settings) as store:
        await assert_nothing_said(store, database, turn)
        assert await store.orphans() == []


async def test_an_orphan_is_recovered_without_words(store: Store, database: Path) -> None:
    turn = a_response("own_dead")
    await store.begin(turn)
    said = [Started(turn_id=turn.id, model="m", provider="p", upstream_model="u", created_at=1.0)]
    await store.checkpoint([a_segment(turn, 0, 0, encode_events(said))])
    (orphan,) = await store.orphans()
    await store.delete_response(TENANT, turn.id, NOW)
    late = a_segment(turn, 1, 1, encode_events([Text("late")]))
    await store.checkpoint([late])
    assert orphan.keeps_items
    assert await recover(store, lambda: 3000.0) == 1
    await assert_nothing_said(store, database, turn)
    seen = await store.get_turn(TENANT, turn.id)
    assert seen is not None
    assert (seen.status, seen.reason) == ("failed", "owner_lost")


async def test_an_orphan_deleted_during_recovery_is_recovered_without_words(
    store: Store, database: Path
) -> None:
    """What recovery had read before the deletion is not written after it."""
    turn = a_response("own_dead")
    await store.begin(turn)
    await store.checkpoint([a_segment(turn, 0, 4)])
    record = a_whole_end(turn)
    await store.delete_response(TENANT, turn.id, NOW)
    assert (await store.finalise(record)).won
    await assert_nothing_said(store, database, turn)


@pytest.mark.parametrize("table", ["turn_attempts", "usage_records"])
async def test_a_deleted_turns_end_that_fails_leaves_nothing_behind(
    store: Store, database: Path, table: str
) -> None:
    turn = a_response(store.owner)
    await store.begin(turn)
    await store.delete_response(TENANT, turn.id, NOW)
    before = everything(database)
    with failing_writes(database, table), pytest.raises(sqlite3.IntegrityError):
        await store.finalise(a_whole_end(turn))
    assert everything(database) == before
    assert (await store.finalise(a_whole_end(turn))).won
    await assert_nothing_said(store, database, turn)


async def test_a_deletion_that_fails_deletes_nothing(store: Store, database: Path) -> None:
    turn = a_response(store.owner)
    await store.begin(turn)
    await store.finalise(a_whole_end(turn))
    before = everything(database)
    with exclusive_lock(database), pytest.raises(StoreUnavailable, match="lock"):
        await store.delete_response(TENANT, turn.id, NOW)
    assert everything(database) == before
    for table in SAID:
        refusing = failing_writes(database, table, "DELETE")
        with refusing, pytest.raises(sqlite3.IntegrityError):
            await store.delete_response(TENANT, turn.id, NOW)
        assert everything(database) == before
    assert await store.delete_response(TENANT, turn.id, NOW)


async def test_a_turn_without_text_can_be_deleted(store: Store, database: Path) -> None:
    turn = a_response(store.owner, keep_text=False)
    await store.finalise(a_whole_end(turn))
    assert await store.delete_response(TENANT, turn.id, NOW)
    await assert_nothing_said(store, database, turn)


async def test_a_list_shows_that_a_turn_was_deleted(store: Store) -> None:
    turn = a_turn(store.owner)
    await store.finalise(a_whole_end(turn))
    await store.delete_response(TENANT, turn.id, NOW)
    (seen,) = (await store.list_turns(TENANT, limit=9)).data
    assert (seen.text, seen.deleted_at) == ("", NOW)
