import sqlite3
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from store.records.turn_records import Finalised
from store.store import Store
from tests.support.store_records import CALLER, a_segment, a_turn, an_end


async def test_first_end_wins(store: Store) -> None:
    turn = a_turn(store.ownership.id)
    await store.turns.begin(turn)
    end = an_end(turn, segment=a_segment(turn, 10, 12))
    assert await store.turns.finalise(end) == Finalised(won=True, status="completed", reason="stop")
    late = an_end(turn, status="cancelled", reason="cancel_requested", text="other")
    assert await store.turns.finalise(late) == Finalised(
        won=False, status="completed", reason="stop"
    )

    seen = await store.turns.get_turn(CALLER, turn.id)
    assert seen is not None
    assert (seen.status, seen.reason, seen.text) == ("completed", "stop", "Hello")
    assert (seen.first_token_at, seen.ended_at, seen.last_event) == (1000.5, 1002.0, 12)
    assert seen.usage == end.usage
    assert seen.attempts == end.steps[0].attempts
    assert list(await store.turns.segments(turn.id)) == [end.segment]


async def test_one_of_a_hundred_simultaneous_ends_wins(store: Store, database: Path) -> None:
    turn = a_turn(store.ownership.id)
    await store.turns.begin(turn)
    answers: list[Finalised] = []

    async def finalise(number: int) -> None:
        answers.append(await store.turns.finalise(an_end(turn, text=f"text {number}")))

    async with trio.open_nursery() as nursery:
        for number in range(100):
            nursery.start_soon(finalise, number)
    assert sorted(answer.won for answer in answers) == [False] * 99 + [True]
    assert counts(database) == {"turns": 1, "messages": 1, "usage_records": 1, "turn_attempts": 1}


async def test_end_of_unknown_turn_inserts_it(store: Store) -> None:
    turn = a_turn(store.ownership.id)
    answer = await store.turns.finalise(an_end(turn, status="failed", reason="store_unavailable"))
    assert answer.won
    seen = await store.turns.get_turn(CALLER, turn.id)
    assert seen is not None
    assert (seen.status, seen.reason, seen.text) == ("failed", "store_unavailable", "Hello")


async def test_simultaneous_begin_and_end_are_both_committed(store: Store) -> None:
    """A cancelled `begin` may be committed in the same batch as the turn's end."""
    turns = [a_turn(store.ownership.id) for _ in range(50)]
    async with trio.open_nursery() as nursery:
        for turn in turns:
            nursery.start_soon(store.turns.begin, turn)
            nursery.start_soon(store.turns.finalise, an_end(turn))
    page = await store.turns.list_turns(CALLER, limit=100, status="completed")
    assert {turn.id for turn in page.data} == {turn.id for turn in turns}


async def test_only_the_owner_can_end_a_turn(store: Store) -> None:
    turn = a_turn("own_other")
    await store.turns.begin(turn)
    answer = await store.turns.finalise(an_end(replace(turn, owner=store.ownership.id)))
    assert answer == Finalised(won=False, status="in_progress", reason="")
    assert (await store.turns.finalise(an_end(turn))).won


async def test_last_segment_replaces_shorter_one(store: Store) -> None:
    turn = a_turn(store.ownership.id)
    await store.turns.begin(turn)
    await store.turns.checkpoint([a_segment(turn, 0, 4, b"uncertain")])
    whole = a_segment(turn, 0, 12, b"whole")
    await store.turns.finalise(an_end(turn, segment=whole))
    assert list(await store.turns.segments(turn.id)) == [whole]


async def test_empty_answer_stores_no_message(store: Store, database: Path) -> None:
    await store.turns.finalise(an_end(a_turn(store.ownership.id), text=""))
    assert counts(database)["messages"] == 0
    await store.turns.finalise(an_end(a_turn(store.ownership.id), text="", tool_calls="[]"))
    assert counts(database)["messages"] == 1


async def test_without_text_only_row_and_usage_are_stored(store: Store, database: Path) -> None:
    turn = a_turn(store.ownership.id, keep_text=False)
    await store.turns.begin(turn)
    await store.turns.finalise(
        an_end(turn, text="secret", segment=a_segment(turn, 0, 12, b"secret"))
    )
    seen = await store.turns.get_turn(CALLER, turn.id)
    assert seen is not None
    assert (seen.text, seen.keep_text, seen.status) == ("", False, "completed")
    assert seen.usage is not None
    assert counts(database) == {"turns": 1, "messages": 0, "usage_records": 1, "turn_attempts": 1}
    assert await store.turns.segments(turn.id) == []
    assert not any(b"secret" in path.read_bytes() for path in database.parent.iterdir())


async def test_failed_end_writes_nothing(store: Store, database: Path) -> None:
    turn = a_turn(store.ownership.id)
    await store.turns.begin(turn)
    end = an_end(turn)
    twice = replace(end, steps=end.steps * 2)
    with pytest.raises(sqlite3.IntegrityError):
        await store.turns.finalise(twice)
    assert counts(database) == {"turns": 1, "messages": 0, "usage_records": 0, "turn_attempts": 0}
    seen = await store.turns.get_turn(CALLER, turn.id)
    assert seen is not None
    assert seen.status == "in_progress"


def counts(database: Path) -> dict[str, int]:
    """Return the row counts of some tables."""
    connection = sqlite3.connect(database)
    tables = ("turns", "messages", "usage_records", "turn_attempts")
    found = {
        table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
        for table in tables
    }
    connection.close()
    return found
