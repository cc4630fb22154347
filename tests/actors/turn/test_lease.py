"""Tests of leases in the three modes of a turn."""

from functools import partial

import trio
from trio.testing import MockClock

from actors.run_turn import run_turn
from actors.turn.outcome import DisconnectStage, Mode, Reason, Status
from actors.turn.state import Lease, Turn
from tests.support.turn_fakes import (
    FOREVER,
    ScriptedProvider,
    TurnHarness,
    a_request,
    stop,
    text,
    the_end,
)

WINDOW_S = 30.0


class TurnSetup:
    """A turn of one mode that produces text and then waits, with its clients."""

    def __init__(self, nursery: trio.Nursery, mode: Mode, *, silence: float = FOREVER) -> None:
        self.main = ScriptedProvider(text("a"), silence, text("b"), stop())
        self.harness = TurnHarness(self.main)
        asked = a_request("main", mode=mode, resume_window_s=WINDOW_S)
        self.turn: Turn = self.harness.turn(asked)
        self._nursery = nursery
        nursery.start_soon(run_turn, self.turn, self.harness.dependencies)

    async def client(self, *, duration_s: float) -> None:
        """Hold a lease for this time, or until the turn has ended."""
        with trio.move_on_after(duration_s):
            async with Lease(self.turn, settle_s=100):
                await self.turn.final.wait()

    def clients(self, *durations_s: float) -> None:
        for duration_s in durations_s:
            self._nursery.start_soon(partial(self.client, duration_s=duration_s))

    @property
    def reason(self) -> Reason:
        return the_end(self.turn).reason


async def test_attached_turn_ends_when_its_client_leaves(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    setup = TurnSetup(nursery, Mode.ATTACHED)
    await setup.client(duration_s=3)
    assert trio.current_time() == 3
    assert setup.turn.final.is_set()
    end = the_end(setup.turn)
    assert (end.status, end.reason) == (Status.INCOMPLETE, Reason.CLIENT_DISCONNECTED)
    assert end.disconnect_stage is DisconnectStage.MID_STREAM
    assert setup.main.answer.left_at == 3


async def test_attached_turn_continues_while_another_client_reads(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    setup = TurnSetup(nursery, Mode.ATTACHED)
    setup.clients(3, 7)
    await trio.sleep(5)
    assert not setup.turn.final.is_set()
    assert setup.turn.leases == 1
    await setup.turn.final.wait()
    assert trio.current_time() == 7
    assert setup.reason is Reason.CLIENT_DISCONNECTED


async def test_last_of_twenty_readers_ends_an_attached_turn(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    setup = TurnSetup(nursery, Mode.ATTACHED)
    setup.clients(*range(1, 21))
    await trio.sleep(19.5)
    assert setup.turn.leases == 1
    await setup.turn.final.wait()
    assert trio.current_time() == 20


async def test_client_that_stays_to_the_end_does_not_end_the_turn(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    setup = TurnSetup(nursery, Mode.ATTACHED, silence=5.0)
    await setup.client(duration_s=60)
    assert trio.current_time() == 5
    assert setup.reason is Reason.STOP
    assert setup.turn.leases == 0


async def test_leaving_an_attached_turn_waits_until_it_is_final(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    setup = TurnSetup(nursery, Mode.ATTACHED)
    setup.harness.store.takes_s = 2.0
    await setup.client(duration_s=3)
    assert trio.current_time() == 5
    assert setup.turn.final.is_set()


async def test_leaving_waits_at_most_settle_s(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    setup = TurnSetup(nursery, Mode.ATTACHED)
    setup.harness.store.takes_s = 2.0
    with trio.move_on_after(3):
        async with Lease(setup.turn, settle_s=0.5):
            await trio.sleep_forever()
    assert trio.current_time() == 3.5
    assert not setup.turn.final.is_set()


async def test_lingering_turn_continues_if_a_client_returns_in_time(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    setup = TurnSetup(nursery, Mode.LINGER, silence=100.0)
    await setup.client(duration_s=3)
    assert trio.current_time() == 3
    await trio.sleep(WINDOW_S - 1)
    await setup.client(duration_s=200)
    assert trio.current_time() == 100
    assert setup.reason is Reason.STOP


async def test_lingering_turn_ends_after_the_resume_window(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    setup = TurnSetup(nursery, Mode.LINGER)
    await setup.client(duration_s=3)
    await setup.turn.final.wait()
    assert trio.current_time() == 3 + WINDOW_S
    assert setup.reason is Reason.CLIENT_DISCONNECTED
    assert the_end(setup.turn).disconnect_stage is DisconnectStage.MID_STREAM


async def test_resume_window_restarts_with_each_disconnect(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    setup = TurnSetup(nursery, Mode.LINGER)
    for _ in range(3):
        await setup.client(duration_s=1)
        await trio.sleep(WINDOW_S - 2)
    await setup.client(duration_s=1)
    left = trio.current_time()
    await setup.turn.final.wait()
    assert trio.current_time() == left + WINDOW_S


async def test_time_budget_ends_a_lingering_turn_before_the_window(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    harness = TurnHarness(ScriptedProvider(text("a"), FOREVER))
    asked = a_request("main", mode=Mode.LINGER, resume_window_s=WINDOW_S, total_s=20)
    turn = harness.turn(asked)
    nursery.start_soon(run_turn, turn, harness.dependencies)
    with trio.move_on_after(3):
        async with Lease(turn, settle_s=1):
            await trio.sleep_forever()
    await turn.final.wait()
    assert trio.current_time() == 20
    assert the_end(turn).reason is Reason.TIME_BUDGET


async def test_background_turn_needs_no_client(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    setup = TurnSetup(nursery, Mode.BACKGROUND, silence=200.0)
    await setup.client(duration_s=3)
    assert trio.current_time() == 3
    await setup.turn.final.wait()
    assert trio.current_time() == 200
    assert setup.reason is Reason.STOP


async def test_background_turn_can_be_cancelled(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    setup = TurnSetup(nursery, Mode.BACKGROUND)
    await setup.client(duration_s=3)
    setup.turn.stop(Reason.CANCEL_REQUESTED)
    await setup.turn.final.wait()
    assert setup.reason is Reason.CANCEL_REQUESTED
    assert the_end(setup.turn).disconnect_stage is None


async def test_readers_continue_when_production_is_cancelled(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    setup = TurnSetup(nursery, Mode.ATTACHED)
    seen: list[type] = []

    async def read() -> None:
        async with Lease(setup.turn, settle_s=1):
            subscription = setup.turn.journal.subscribe()
            while not subscription.exhausted:
                seen.extend(type(event) for event in await subscription.read())

    async with trio.open_nursery() as readers:
        readers.start_soon(read)
        await trio.sleep(3)
        setup.turn.stop(Reason.CANCEL_REQUESTED)
    assert seen == [type(event) for event in setup.turn.journal.events]


async def test_lease_on_an_ended_turn_changes_nothing(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    setup = TurnSetup(nursery, Mode.ATTACHED, silence=1.0)
    await setup.client(duration_s=60)
    await setup.client(duration_s=60)
    assert trio.current_time() == 1
    assert setup.reason is Reason.STOP
