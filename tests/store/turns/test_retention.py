from store.database.settings import StoreSettings
from store.store import open_store
from tests.support.store_records import CALLER, a_segment, a_turn, an_end

DAY = 86_400.0


class Clock:
    """A wall clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


async def test_sweep_deletes_journals_and_keeps_turns(settings: StoreSettings) -> None:
    clock = Clock()
    async with open_store(settings, clock=clock) as store:
        turn = a_turn(store.ownership.id)
        await store.turns.begin(turn)
        await store.turns.checkpoint([a_segment(turn, 0, 9), a_segment(turn, 10, 11)])
        await store.turns.finalise(
            an_end(turn, segment=a_segment(turn, 12, 12), ended_at=clock.now)
        )
        clock.now += DAY
        assert await store.turns.sweep(DAY + 1) == 0
        assert await store.turns.sweep(DAY - 1) == 3
        assert await store.turns.segments(turn.id) == []
        seen = await store.turns.get_turn(CALLER, turn.id)
        assert seen is not None
        assert (seen.text, seen.last_event) == ("Hello", 12)


async def test_sweep_keeps_journal_of_turn_in_flight(settings: StoreSettings) -> None:
    clock = Clock()
    async with open_store(settings, clock=clock) as store:
        turn = a_turn(store.ownership.id)
        await store.turns.begin(turn)
        await store.turns.checkpoint([a_segment(turn)])
        clock.now += 10 * DAY
        assert await store.turns.sweep(DAY) == 0
        await store.turns.finalise(an_end(turn, ended_at=clock.now))
        assert await store.turns.sweep(DAY) == 0
        assert len(await store.turns.segments(turn.id)) == 1


async def test_sweep_commits_in_batches(settings: StoreSettings) -> None:
    clock = Clock()
    async with open_store(settings, clock=clock) as store:
        for _ in range(250):
            turn = a_turn(store.ownership.id)
            segment = a_segment(turn, 0, 12)
            await store.turns.finalise(an_end(turn, segment=segment, ended_at=clock.now))
        clock.now += 2 * DAY
        commits = store.database.transactions.commits
        assert await store.turns.sweep(DAY) == 250
        assert store.database.transactions.commits - commits == 3
