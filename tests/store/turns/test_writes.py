import sqlite3
from pathlib import Path

import pytest

from store.records.turn_records import Segment
from store.store import Store
from tests.support.store_records import CALLER, a_segment, a_turn, an_end


async def test_turn_begins_in_progress(store: Store) -> None:
    turn = a_turn(store.ownership.id)
    await store.turns.begin(turn)
    seen = await store.turns.get_turn(CALLER, turn.id)
    assert seen is not None
    assert (seen.status, seen.reason, seen.ended_at) == ("in_progress", None, None)
    assert (seen.owner, seen.model, seen.mode) == (store.ownership.id, turn.model, turn.mode)
    assert (seen.dialect, seen.dialect_options) == (turn.dialect, turn.dialect_options)
    assert (seen.text, seen.usage, seen.last_event, seen.attempts) == ("", None, None, ())


async def test_turn_can_begin_only_once(store: Store) -> None:
    turn = a_turn(store.ownership.id)
    await store.turns.begin(turn)
    with pytest.raises(sqlite3.IntegrityError):
        await store.turns.begin(turn)


async def test_segments_are_stored_in_order(store: Store) -> None:
    turn = a_turn(store.ownership.id)
    await store.turns.begin(turn)
    parts = [a_segment(turn, 10, 19, b"b"), a_segment(turn, 0, 9, b"a")]
    assert await store.turns.checkpoint(parts) == frozenset()
    assert list(await store.turns.segments(turn.id)) == parts[::-1]
    seen = await store.turns.get_turn(CALLER, turn.id)
    assert seen is not None
    assert seen.last_event == 19


async def test_segments_from_another_owner_are_fenced_off(store: Store) -> None:
    mine, other = a_turn(store.ownership.id), a_turn("own_other")
    await store.turns.begin(mine)
    await store.turns.begin(other)
    stolen = Segment(other.id, store.ownership.id, 0, 9, b"late")
    assert await store.turns.checkpoint([a_segment(mine), stolen]) == {other.id}
    assert len(await store.turns.segments(mine.id)) == 1
    assert await store.turns.segments(other.id) == []


async def test_segments_of_final_turn_are_fenced_off(store: Store) -> None:
    turn = a_turn(store.ownership.id)
    await store.turns.begin(turn)
    await store.turns.finalise(an_end(turn))
    assert await store.turns.checkpoint([a_segment(turn)]) == {turn.id}
    assert await store.turns.segments(turn.id) == []


async def test_segments_of_unknown_turn_are_fenced_off(store: Store) -> None:
    turn = a_turn(store.ownership.id)
    assert await store.turns.checkpoint([a_segment(turn)]) == {turn.id}


async def test_repeated_segment_is_stored_once(store: Store) -> None:
    turn = a_turn(store.ownership.id)
    await store.turns.begin(turn)
    assert await store.turns.checkpoint([a_segment(turn)]) == frozenset()
    assert await store.turns.checkpoint([a_segment(turn)]) == frozenset()
    assert list(await store.turns.segments(turn.id)) == [a_segment(turn)]


async def test_repeated_segment_with_more_events_replaces_shorter_one(store: Store) -> None:
    """A caller that does not know if a checkpoint was committed sends its events again."""
    turn = a_turn(store.ownership.id)
    await store.turns.begin(turn)
    await store.turns.checkpoint([a_segment(turn, 0, 4, b"short")])
    await store.turns.checkpoint([a_segment(turn, 0, 9, b"longer")])
    await store.turns.checkpoint([a_segment(turn, 0, 6, b"stale")])
    assert list(await store.turns.segments(turn.id)) == [a_segment(turn, 0, 9, b"longer")]


async def test_turn_without_text_stores_no_segments(store: Store) -> None:
    turn = a_turn(store.ownership.id, keep_text=False)
    await store.turns.begin(turn)
    assert await store.turns.checkpoint([a_segment(turn)]) == frozenset()
    assert await store.turns.segments(turn.id) == []


async def test_rows_have_the_tenant_of_their_turn(store: Store, database: Path) -> None:
    turn = a_turn(store.ownership.id, tenant="tenant_b")
    await store.turns.begin(turn)
    await store.turns.checkpoint([a_segment(turn)])
    await store.turns.finalise(an_end(turn, segment=a_segment(turn, 10, 12)))
    connection = sqlite3.connect(database)
    for table in ("turns", "messages", "turn_steps", "turn_attempts", "turn_segments"):
        found = connection.execute(f"SELECT DISTINCT tenant_id FROM {table}")  # noqa: S608
        assert found.fetchall() == [("tenant_b",)], table
    connection.close()
