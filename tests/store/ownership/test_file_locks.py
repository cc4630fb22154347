import subprocess
import sys
from pathlib import Path

import pytest
import trio

from store.database.settings import StoreSettings
from store.ownership.file_locks import FileLocks
from store.store import Store, open_store
from tests.support.store_records import CALLER, a_segment, a_turn, an_end

HOLD = """
import sys, trio
from store.database.settings import StoreSettings
from store.store import open_store
from tests.support.store_records import a_turn

async def main():
    async with open_store(StoreSettings(url=sys.argv[1])) as store:
        await store.turns.begin(a_turn(store.ownership.id))
        print(store.ownership.id, flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)

trio.run(main)
"""


def test_owner_is_alive_until_released(database: Path) -> None:
    one, two = FileLocks(database), FileLocks(database)
    assert one.is_alive(two.id)
    assert two.is_alive(one.id)
    two.release()
    assert not one.is_alive(two.id)
    one.release()
    assert list(database.parent.iterdir()) == []


def test_unknown_owner_is_dead(database: Path) -> None:
    owner = FileLocks(database)
    assert not owner.is_alive("own_never")
    owner.release()


def test_lock_files_of_dead_owners_are_removed(database: Path) -> None:
    stale = database.with_name(f"{database.name}-own_dead.lock")
    stale.touch()
    owner, other = FileLocks(database), FileLocks(database)
    owner.remove_stale()
    assert not stale.exists()
    assert owner.is_alive(other.id)
    owner.release()
    other.release()


async def test_only_turns_of_dead_owners_are_orphans(settings: StoreSettings, store: Store) -> None:
    async with open_store(settings) as living:
        for owner in (store.ownership.id, living.ownership.id, "own_dead", "own_dead"):
            await store.turns.begin(a_turn(owner))
        ended = a_turn("own_dead")
        await store.turns.begin(ended)
        await store.turns.finalise(an_end(ended))
        found = await store.turns.orphans()
        assert [turn.owner for turn in found] == ["own_dead", "own_dead"]
        assert ended.id not in {turn.id for turn in found}
    assert {turn.owner for turn in await store.turns.orphans()} == {"own_dead", living.ownership.id}


async def test_orphan_is_finalised_for_its_dead_owner(store: Store) -> None:
    turn = a_turn("own_dead")
    await store.turns.begin(turn)
    await store.turns.checkpoint([a_segment(turn, 0, 9)])
    (orphan,) = await store.turns.orphans()
    assert orphan.last_event == 9
    last = a_segment(turn, 10, 11)
    lost = an_end(turn, status="failed", reason="owner_lost", segment=last)
    assert (await store.turns.finalise(lost)).won
    assert await store.turns.orphans() == []
    assert [segment.first_seq for segment in await store.turns.segments(turn.id)] == [0, 10]


def another_process(url: str) -> "subprocess.Popen[str]":
    """Start a process that begins a turn and lives until its standard input is closed."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )


async def test_killed_process_leaves_orphans(settings: StoreSettings, database: Path) -> None:
    with another_process(settings.url) as process:
        assert process.stdout is not None
        owner = process.stdout.readline().strip()
        async with open_store(settings) as store:
            assert await store.turns.orphans() == []
            process.kill()
            process.wait()
            assert [turn.owner for turn in await store.turns.orphans()] == [owner]
    assert list(database.parent.glob("*.lock")) == []


async def test_thousands_of_orphans(store: Store) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(3000):
            nursery.start_soon(store.turns.begin, a_turn("own_dead"))
    assert len(await store.turns.orphans()) == 3000


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
async def test_database_without_path_is_private(url: str) -> None:
    async with open_store(StoreSettings(url=url)) as one, open_store(StoreSettings(url=url)) as two:
        await one.turns.begin(a_turn(one.ownership.id))
        assert (await two.turns.list_turns(CALLER, limit=9)).data == ()
        assert len((await one.turns.list_turns(CALLER, limit=9)).data) == 1
        assert await one.turns.orphans() == []
