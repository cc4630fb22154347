"""Who keeps a turn alive, in the three modes."""

from functools import partial

import trio
from trio.testing import MockClock

from actors.lease import Lease
from actors.outcome import DisconnectStage, Mode, Reason, Status
from actors.run_turn import run_turn
from actors.turn import Turn
from tests.actors.fakes import FOREVER, ScriptedProvider, Theatre, a_request, stop, text, the_end

WINDOW_S = 30.0


class House:
    """A turn of one mode that says something and then waits, and clients of it."""

    def __init__(self, nursery: trio.Nursery, mode: Mode, *, silence: float = FOREVER) -> None:
        self.main = ScriptedProvider(text("a"), silence, text("b"), stop())
        self.theatre = Theatre(self.main)
        asked = a_request("main", mode=mode, resume_window_s=WINDOW_S)
        self.turn: Turn = self.theatre.turn(asked)
        self._nursery = nursery
        nursery.start_soon(run_turn, self.turn, self.theatre.backstage)

    async def client(self, *, stays_s: float) -> None:
        """A request that holds a lease for so long, or until the end."""
        with trio.move_on_after(stays_s):
            async with Lease(self.turn, settle_s=100):
                await self.turn.final.wait()

    def clients(self, *stay_s: float) -> None:
        for stays_s in stay_s:
            self._nursery.start_soon(partial(self.client, stays_s=stays_s))

    @property
    def reason(self) -> Reason:
        return the_end(self.turn).reason


async def test_attached_ends_when_its_client_leaves(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    house = House(nursery, Mode.ATTACHED)
    await house.client(stays_s=3)
    assert trio.current_time() == 3
    assert house.turn.final.is_set()
    end = the_end(house.turn)
    assert (end.status, end.reason) == (Status.INCOMPLETE, Reason.CLIENT_DISCONNECTED)
    assert end.disconnect_stage is DisconnectStage.MID_STREAM
    assert house.main.answer.left_at == 3


async def test_attached_goes_on_when_the_starter_leaves_and_another_reads(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    house = House(nursery, Mode.ATTACHED)
    house.clients(3, 7)
    await trio.sleep(5)
    assert not house.turn.final.is_set()
    assert house.turn.leases == 1
    await house.turn.final.wait()
    assert trio.current_time() == 7
    assert house.reason is Reason.CLIENT_DISCONNECTED


async def test_of_twenty_readers_the_last_one_counts(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    house = House(nursery, Mode.ATTACHED)
    house.clients(*range(1, 21))
    await trio.sleep(19.5)
    assert house.turn.leases == 1
    await house.turn.final.wait()
    assert trio.current_time() == 20


async def test_who_stays_to_the_end_ends_nothing(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    house = House(nursery, Mode.ATTACHED, silence=5.0)
    await house.client(stays_s=60)
    assert trio.current_time() == 5
    assert house.reason is Reason.STOP
    assert house.turn.leases == 0


async def test_leaving_attached_waits_until_the_turn_is_final(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    house = House(nursery, Mode.ATTACHED)
    house.theatre.store.takes_s = 2.0
    await house.client(stays_s=3)
    assert trio.current_time() == 5
    assert house.turn.final.is_set()


async def test_but_not_for_ever(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    house = House(nursery, Mode.ATTACHED)
    house.theatre.store.takes_s = 2.0
    with trio.move_on_after(3):
        async with Lease(house.turn, settle_s=0.5):
            await trio.sleep_forever()
    assert trio.current_time() == 3.5
    assert not house.turn.final.is_set()


async def test_linger_goes_on_when_a_client_is_back_in_time(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    house = House(nursery, Mode.LINGER, silence=100.0)
    await house.client(stays_s=3)
    assert trio.current_time() == 3
    await trio.sleep(WINDOW_S - 1)
    await house.client(stays_s=200)
    assert trio.current_time() == 100
    assert house.reason is Reason.STOP


async def test_linger_ends_after_the_window(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    house = House(nursery, Mode.LINGER)
    await house.client(stays_s=3)
    await house.turn.final.wait()
    assert trio.current_time() == 3 + WINDOW_S
    assert house.reason is Reason.CLIENT_DISCONNECTED
    assert the_end(house.turn).disconnect_stage is DisconnectStage.MID_STREAM


async def test_the_window_begins_anew_each_time(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    house = House(nursery, Mode.LINGER)
    for _ in range(3):
        await house.client(stays_s=1)
        await trio.sleep(WINDOW_S - 2)
    await house.client(stays_s=1)
    left = trio.current_time()
    await house.turn.final.wait()
    assert trio.current_time() == left + WINDOW_S


async def test_the_budget_ends_before_the_window(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    theatre = Theatre(ScriptedProvider(text("a"), FOREVER))
    asked = a_request("main", mode=Mode.LINGER, resume_window_s=WINDOW_S, total_s=20)
    turn = theatre.turn(asked)
    nursery.start_soon(run_turn, turn, theatre.backstage)
    with trio.move_on_after(3):
        async with Lease(turn, settle_s=1):
            await trio.sleep_forever()
    await turn.final.wait()
    assert trio.current_time() == 20
    assert the_end(turn).reason is Reason.TIME_BUDGET


async def test_background_needs_nobody(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    house = House(nursery, Mode.BACKGROUND, silence=200.0)
    await house.client(stays_s=3)
    assert trio.current_time() == 3
    await house.turn.final.wait()
    assert trio.current_time() == 200
    assert house.reason is Reason.STOP


async def test_background_can_be_cancelled(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    house = House(nursery, Mode.BACKGROUND)
    await house.client(stays_s=3)
    house.turn.stop(Reason.CANCEL_REQUESTED)
    await house.turn.final.wait()
    assert house.reason is Reason.CANCEL_REQUESTED
    assert the_end(house.turn).disconnect_stage is None


async def test_readers_live_on_when_production_is_cancelled(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    house = House(nursery, Mode.ATTACHED)
    seen: list[type] = []

    async def read() -> None:
        async with Lease(house.turn, settle_s=1):
            subscription = house.turn.journal.subscribe()
            while not subscription.exhausted:
                seen.extend(type(event) for event in await subscription.read())

    async with trio.open_nursery() as readers:
        readers.start_soon(read)
        await trio.sleep(3)
        house.turn.stop(Reason.CANCEL_REQUESTED)
    assert seen == [type(event) for event in house.turn.journal.events]


async def test_a_lease_on_a_turn_that_is_over_changes_nothing(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    house = House(nursery, Mode.ATTACHED, silence=1.0)
    await house.client(stays_s=60)
    await house.client(stays_s=60)
    assert trio.current_time() == 1
    assert house.reason is Reason.STOP
