"""Tests that databases and spools of earlier releases are migrated without loss.

`released/NNNN.sql` is the dump of a database with schema NNNN, written by the code of that
release: a completed turn, one without text, one in flight when its process died, and one of another
tenant, whose final record is in `released/NNNN.spooled.hex`. From 0002 on a third tenant has a
conversation of three turns with items, the second of which is deleted. From 0003 on it has another
conversation with an item of its own, from 0004 on its last turn wrote tokens to a cache, and from
0005 on that turn has a verdict of a guard. The files are never changed.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from actors.finalisation.recovery import recover
from actors.journal.checkpointer import decode_events
from actors.turn.events import Started
from store.database.settings import StoreSettings
from store.migrations import KNOWN
from store.records.turn_records import Conversation, ItemPlace
from store.store import open_store
from tests.store.spool.test_replay import make_dead_spool
from tests.support.store_records import CALLER, MAX_BYTES, a_turn, an_end, caller

RELEASED = Path(__file__).parent / "released"
DUMPS = sorted(RELEASED.glob("*.sql"))


def turn_id(number: int) -> str:
    """Return the id of a dump's turn by its number."""
    return f"turn_{number:026d}"


COMPLETED, TEXTLESS, IN_FLIGHT, SPOOLED, FIRST, DELETED, LAST = map(turn_id, range(1, 8))


@pytest.fixture(params=DUMPS, ids=lambda path: path.stem)
def released(request: pytest.FixtureRequest, database: Path) -> Path:
    """Create the test's database from a dump and return the dump's path."""
    dump: Path = request.param
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(dump.read_text())
    return dump


def rows(database: Path) -> dict[str, list[dict[str, object]]]:
    """Return all rows by table, without the columns that are null."""
    with closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {
            table: [
                # SIM118: iterating over a `sqlite3.Row` yields its values.
                {key: row[key] for key in row.keys() if row[key] is not None}  # noqa: SIM118
                for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3")  # noqa: S608
            ]
            for (table,) in names.fetchall()
            if table != "alembic_version"
        }


def test_every_schema_has_a_dump() -> None:
    assert [path.stem for path in DUMPS] == list(KNOWN)


@pytest.mark.usefixtures("released")
async def test_migration_keeps_all_rows(settings: StoreSettings, database: Path) -> None:
    before = rows(database)
    async with open_store(settings):
        pass
    after = rows(database)
    assert {table: after[table] for table in before} == before
    assert not any(after[table] for table in after.keys() - before.keys())


@pytest.mark.usefixtures("released")
async def test_migrated_turns_can_be_read(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        turn = await store.turns.get_turn(CALLER, COMPLETED)
        assert turn is not None
        assert (turn.status, turn.text, turn.last_event) == ("completed", "Hello!", 3)
        assert (turn.previous_id, turn.conversation, turn.deleted_at) == (None, None, None)
        assert not turn.keeps_items
        assert await store.turns.response(CALLER, COMPLETED) is None
        (link,) = await store.turns.chain(CALLER, COMPLETED, 9, MAX_BYTES)
        assert link.lost == "not_kept"
        assert len(await store.turns.segments(COMPLETED)) == 2
        page = await store.turns.list_turns(CALLER, limit=9)
        assert [turn.id for turn in page.data] == [IN_FLIGHT, TEXTLESS, COMPLETED]


@pytest.mark.parametrize("released", DUMPS[1:], indirect=True, ids=lambda path: path.stem)
@pytest.mark.usefixtures("released")
async def test_conversation_with_items_can_be_read_and_continued(settings: StoreSettings) -> None:
    tenant = caller("tenant_c")
    async with open_store(settings) as store:
        assert await store.turns.latest_turn_in(tenant, "conv_a") == LAST
        chain = await store.turns.chain(tenant, LAST, 9, MAX_BYTES)
        assert [(link.turn_id, link.lost) for link in chain] == [
            (FIRST, None),
            (DELETED, "deleted"),
            (LAST, None),
        ]
        last = await store.turns.response(tenant, LAST)
        assert last is not None
        assert last.turn.dialect_options == {"echo": {"instructions": "Be nice."}}
        assert "Third?" in last.input_items
        assert "Third." in last.answer_items
        (segment,) = await store.turns.segments(LAST)
        assert isinstance(decode_events(segment.blob)[0], Started)
        following = replace(
            a_turn(store.ownership.id, tenant="tenant_c"), previous_id=LAST, conversation="conv_a"
        )
        await store.turns.begin(following)
        await store.turns.finalise(an_end(following))
        assert await store.turns.latest_turn_in(tenant, "conv_a") == following.id


@pytest.mark.parametrize("released", DUMPS[2:], indirect=True, ids=lambda path: path.stem)
@pytest.mark.usefixtures("released")
async def test_conversations_and_ids_of_items_can_be_read(settings: StoreSettings) -> None:
    tenant = caller("tenant_c")
    async with open_store(settings) as store:
        found = await store.conversations.get(tenant, "conv_b")
        assert found == Conversation("conv_b", 1000.0, '{"a":"b"}')
        (item,) = await store.conversations.items(tenant, "conv_b")
        assert item.item_id == "msg_b"
        places = await store.turns.item_places(tenant, ["msg_given"])
        assert places == [ItemPlace("msg_given", FIRST, "input")]


@pytest.mark.parametrize("released", DUMPS[3:], indirect=True, ids=lambda path: path.stem)
@pytest.mark.usefixtures("released")
async def test_writes_to_a_cache_can_be_read(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        turn = await store.turns.get_turn(caller("tenant_c"), LAST)
        assert turn is not None
        assert turn.usage is not None
        assert turn.usage.cache_write_tokens == 3


@pytest.mark.usefixtures("released")
async def test_migrated_turns_can_be_deleted(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        assert await store.turns.delete_response(CALLER, COMPLETED, 2000.0)
        turn = await store.turns.get_turn(CALLER, COMPLETED)
        assert turn is not None
        assert (turn.text, turn.deleted_at, turn.status) == ("", 2000.0, "completed")


async def test_migrated_unfinished_turns_are_recovered_and_replayed(
    settings: StoreSettings, database: Path, released: Path
) -> None:
    spooled = released.with_suffix(".spooled.hex").read_text()
    make_dead_spool(database, 0, bytes.fromhex(spooled))
    async with open_store(settings) as store:
        assert await recover(store.turns, store.spool, lambda: 3000.0) == 1
        recovered = await store.turns.get_turn(CALLER, IN_FLIGHT)
        assert recovered is not None
        assert (recovered.reason, recovered.text) == ("owner_lost", "Half")
        replayed = await store.turns.get_turn(caller("tenant_b"), SPOOLED)
        assert replayed is not None
        assert (replayed.status, replayed.text) == ("completed", "Spooled")


@pytest.mark.usefixtures("released")
async def test_new_turn_can_continue_a_migrated_one(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        turn = replace(a_turn(store.ownership.id), previous_id=COMPLETED, input_items="[1]")
        await store.turns.begin(turn)
        await store.turns.finalise(replace(an_end(turn), items="[2]"))
        old, new = await store.turns.chain(CALLER, turn.id, 9, MAX_BYTES)
        assert (old.turn_id, old.lost, new.input_items) == (COMPLETED, "not_kept", "[1]")


@pytest.mark.usefixtures("released")
async def test_old_release_can_still_write_to_migrated_database(
    settings: StoreSettings, database: Path
) -> None:
    """During a rolling update an old process inserts only the columns that it knows."""
    with closing(sqlite3.connect(database)) as connection:
        known = [name for _, name, *_ in connection.execute("PRAGMA table_info(turns)")]
        row = connection.execute("SELECT * FROM turns WHERE id = ?", (IN_FLIGHT,)).fetchone()
    async with open_store(settings) as store:
        with closing(sqlite3.connect(database)) as connection, connection:
            places = ", ".join("?" * len(known))
            connection.execute(
                f"INSERT INTO turns ({', '.join(known)}) VALUES ({places})",  # noqa: S608
                (turn_id(9), *row[1:]),
            )
        turn = await store.turns.get_turn(CALLER, turn_id(9))
        assert turn is not None
        assert turn.status == "in_progress"
