import sqlite3
from pathlib import Path

import pytest
import trio
from sqlalchemy import event

from store.database.engine import backend_for, open_engine
from store.database.settings import StoreSettings
from store.records.ids import new_id
from store.store import Store
from store.turns import reads
from tests.support.store_records import CALLER, a_turn, an_end, caller


async def test_turn_is_visible_to_its_tenant_only(store: Store) -> None:
    turn = a_turn(store.ownership.id)
    await store.turns.begin(turn)
    assert await store.turns.get_turn(caller("tenant_b"), turn.id) is None
    assert (await store.turns.list_turns(caller("tenant_b"), limit=9)).data == ()


async def test_pages_cover_all_turns_newest_first(store: Store) -> None:
    turns = [a_turn(store.ownership.id, id=new_id("turn_", now)) for now in range(7)]
    async with trio.open_nursery() as nursery:
        for turn in turns:
            nursery.start_soon(store.turns.begin, turn)
    seen: list[str] = []
    cursor = None
    sizes = []
    while True:
        page = await store.turns.list_turns(CALLER, limit=3, cursor=cursor)
        sizes.append(len(page.data))
        seen += [turn.id for turn in page.data]
        if (cursor := page.next) is None:
            break
    assert seen == [turn.id for turn in reversed(turns)]
    assert sizes == [3, 3, 1]


async def test_full_last_page_has_no_next(store: Store) -> None:
    for _ in range(2):
        await store.turns.begin(a_turn(store.ownership.id))
    assert (await store.turns.list_turns(CALLER, limit=2)).next is None
    assert (await store.turns.list_turns(CALLER, limit=1)).next is not None


async def test_page_is_filtered_by_status(store: Store) -> None:
    in_flight, ended = a_turn(store.ownership.id), a_turn(store.ownership.id)
    await store.turns.begin(in_flight)
    await store.turns.finalise(an_end(ended))
    assert [
        t.id for t in (await store.turns.list_turns(CALLER, limit=9, status="completed")).data
    ] == [ended.id]
    assert [
        t.id for t in (await store.turns.list_turns(CALLER, limit=9, status="in_progress")).data
    ] == [in_flight.id]


async def test_get_turn_includes_attempts(store: Store) -> None:
    turn = a_turn(store.ownership.id)
    end = an_end(turn)
    await store.turns.finalise(end)
    seen = await store.turns.get_turn(CALLER, turn.id)
    assert seen is not None
    assert seen.attempts == end.steps[0].attempts


async def test_many_simultaneous_reads(store: Store) -> None:
    turn = a_turn(store.ownership.id)
    await store.turns.begin(turn)
    found = []

    async def read() -> None:
        found.append(await store.turns.get_turn(CALLER, turn.id))

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(read)
    assert len(found) == 50
    assert None not in found


@pytest.mark.parametrize(
    ("status", "cursor"),
    [(None, None), (None, "turn_m"), ("completed", None), ("completed", "turn_m")],
)
def test_page_query_uses_an_index(
    settings: StoreSettings, database: Path, status: str | None, cursor: str | None
) -> None:
    """The plan has no table scan and no sort, so a page costs only its own rows."""
    engine = open_engine(backend_for(settings))
    executed: list[tuple[str, tuple[object, ...]]] = []
    event.listen(
        engine,
        "before_cursor_execute",
        lambda _c, _cursor, text, parameters, _context, _many: executed.append((text, parameters)),
    )
    with engine.connect() as connection:
        reads.list_turns(connection, CALLER, limit=20, status=status, cursor=cursor)
    engine.dispose()
    text, parameters = executed[-1]
    assert plan_is_indexed(database, text, parameters)


def plan_is_indexed(database: Path, text: str, parameters: tuple[object, ...]) -> bool:
    connection = sqlite3.connect(database)
    plan = [row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + text, parameters)]
    connection.close()
    assert any("SEARCH turns USING INDEX ix_turns_tenant_id" in step for step in plan), plan
    return not any("SCAN" in step or "TEMP B-TREE" in step for step in plan)
