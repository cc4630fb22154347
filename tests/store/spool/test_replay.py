"""Tests of the replay of spooled records into the database."""

import logging
from pathlib import Path

import pytest
import trio
from msgspec import msgpack
from msgspec.structs import replace
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.finalisation.recovery import recover
from store.database.settings import StoreSettings
from store.records.turn_records import StoreUnavailable
from store.spool.spool import Spool
from store.store import Store, StoreRefused, open_store
from tests.store.database.test_lock import exclusive_lock
from tests.support.store_records import CALLER, a_segment, a_turn, an_end


async def test_own_records_are_replayed(store: Store) -> None:
    turn, unbegun = a_turn(store.ownership.id), a_turn(store.ownership.id)
    await store.turns.begin(turn)
    await store.spool.append(an_end(turn, segment=a_segment(turn, 0, 12)))
    await store.spool.append(an_end(unbegun))
    assert store.figures.spooled_records == 2
    assert await store.spool.replay() == 2
    assert store.figures.spooled_records == store.figures.spooled_bytes == 0
    page = await store.turns.list_turns(CALLER, limit=9, status="completed")
    assert {seen.id for seen in page.data} == {turn.id, unbegun.id}
    assert len(await store.turns.segments(turn.id)) == 1


async def test_record_of_ended_turn_changes_nothing(store: Store) -> None:
    turn = a_turn(store.ownership.id)
    await store.turns.finalise(an_end(turn, text="stands"))
    await store.spool.append(an_end(turn, text="late"))
    assert await store.spool.replay() == 1
    seen = await store.turns.get_turn(CALLER, turn.id)
    assert seen is not None
    assert seen.text == "stands"


async def test_failed_replay_keeps_every_record(store: Store, database: Path) -> None:
    turns = [a_turn(store.ownership.id) for _ in range(300)]
    async with trio.open_nursery() as nursery:
        for turn in turns:
            nursery.start_soon(store.spool.append, an_end(turn))
    with exclusive_lock(database), pytest.raises(StoreUnavailable, match="lock"):
        await store.spool.replay()
    assert store.figures.spooled_records == 300
    assert await store.spool.replay() == 300
    page = await store.turns.list_turns(CALLER, limit=1000)
    assert {seen.id for seen in page.data} == {turn.id for turn in turns}


async def test_keep_replaying_replays_after_lock(
    settings: StoreSettings, database: Path, mock_clock: MockClock
) -> None:
    async with open_store(settings) as store, trio.open_nursery() as nursery:
        nursery.start_soon(store.spool.keep_replaying)
        with exclusive_lock(database):
            await store.spool.append(an_end(a_turn(store.ownership.id)))
            await wait_all_tasks_blocked()
            mock_clock.jump(0.5)
            await wait_all_tasks_blocked()
            with pytest.raises(StoreUnavailable, match="lock"):
                # One replay runs at a time, so this waits for the task's attempt first.
                await store.spool.replay()
        mock_clock.jump(1.0)
        await wait_all_tasks_blocked()
        assert await store.spool.replay() == 0
        assert store.figures.spooled_records == 0
        assert len((await store.turns.list_turns(CALLER, limit=9)).data) == 1
        nursery.cancel_scope.cancel()


async def test_start_replays_spools_of_dead_processes(
    settings: StoreSettings, database: Path
) -> None:
    async with open_store(settings) as store:
        turns = [a_turn(store.ownership.id) for _ in range(2)]
        for turn in turns:
            await store.turns.begin(turn)
    for number, turn in enumerate(turns):
        make_dead_spool(database, number, msgpack.encode(an_end(turn)))
    async with open_store(settings) as store:
        page = await store.turns.list_turns(CALLER, limit=9)
        assert [turn.status for turn in page.data] == ["completed"] * 2
        assert await store.turns.orphans() == []
    assert list(database.parent.iterdir()) == [database]


async def test_spool_is_replayed_before_recovery(store: Store, database: Path) -> None:
    """Otherwise a turn that had ended would be recovered as lost."""
    turn = a_turn("own_dead")
    await store.turns.begin(turn)
    make_dead_spool(database, 0, msgpack.encode(an_end(turn)))
    assert await recover(store.turns, store.spool, lambda: 3000.0) == 0
    seen = await store.turns.get_turn(CALLER, turn.id)
    assert seen is not None
    assert seen.status == "completed"


async def test_spool_of_living_process_is_not_replayed(
    settings: StoreSettings, store: Store
) -> None:
    await store.spool.append(an_end(a_turn(store.ownership.id)))
    async with open_store(settings) as second:
        assert (await second.turns.list_turns(CALLER, limit=9)).data == ()
    assert await store.spool.replay() == 1


async def test_unreplayed_record_survives_the_process(
    settings: StoreSettings, database: Path
) -> None:
    async with open_store(settings) as store:
        turn = a_turn(store.ownership.id)
        await store.spool.append(an_end(turn))
    async with open_store(settings) as store:
        assert await store.turns.get_turn(CALLER, turn.id) is not None


async def test_record_that_database_refuses_is_set_aside(
    store: Store, database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = an_end(a_turn(store.ownership.id))
    bad = an_end(a_turn(store.ownership.id))
    await store.spool.append(replace(bad, steps=bad.steps * 2))
    await store.spool.append(good)
    with caplog.at_level(logging.ERROR):
        assert await store.spool.replay() == 2
    assert "refused" in caplog.text
    page = await store.turns.list_turns(CALLER, limit=9)
    assert [turn.id for turn in page.data] == [good.turn.id]
    (aside,) = database.parent.glob("*.spool-refused")
    assert bad.turn.id.encode() in aside.read_bytes()


async def test_record_that_cannot_be_set_aside_stays_in_spool(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(_self: Spool, _payload: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Spool, "set_aside", no_space)
    bad = an_end(a_turn(store.ownership.id))
    await store.spool.append(replace(bad, steps=bad.steps * 2))
    with pytest.raises(StoreUnavailable, match="No space left"):
        await store.spool.replay()
    assert store.figures.spooled_records == 1


async def test_unreadable_record_is_reported_and_not_cleared(store: Store, database: Path) -> None:
    await store.spool.append(an_end(a_turn(store.ownership.id)))
    (path,) = database.parent.glob("*.spool")
    overwrite(path, b"\0" * 100)
    with pytest.raises(StoreUnavailable, match="a record cannot be read back"):
        await store.spool.replay()
    assert store.figures.spooled_records == 1


def overwrite(path: Path, content: bytes) -> None:
    """Damage the start of a file."""
    with path.open("r+b") as file:
        file.write(content)


async def test_start_is_refused_if_replay_fails(
    settings: StoreSettings, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_store(settings):
        pass
    make_dead_spool(database, 0, msgpack.encode(an_end(a_turn("own_dead"))))

    def fail(_self: Spool) -> list[bytes]:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Spool, "read", fail)
    with pytest.raises(StoreRefused, match=r"spooled records cannot be replayed: .*Input/output"):
        async with open_store(settings):
            pass
    assert len(list(database.parent.glob("*.spool"))) == 1


def make_dead_spool(database: Path, number: int, record: bytes) -> None:
    """Create the spool of a dead process."""
    path = database.with_name(f"{database.name}-own_{number}.spool")
    spool = Spool.create(path, 1 << 17)
    spool.append(record)
    spool.close(remove=False)
