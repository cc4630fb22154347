"""Tests of heartbeats: no client waits longer than the heartbeat interval."""

from dataclasses import dataclass, field
from itertools import pairwise

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from actors.journal.heartbeat import CHECKS_PER_HEARTBEAT, HeartbeatTimer
from actors.turn.events import Text
from actors.turn.state import Turn
from tests.support.turn_fakes import TurnHarness

HEARTBEAT_S = 15.0
CHECK_S = HEARTBEAT_S / CHECKS_PER_HEARTBEAT


@dataclass
class Client:
    """A reader of a turn that records when it was woken."""

    turn: Turn
    received_at: list[float] = field(default_factory=list)
    nudges: int = 0

    async def run(self) -> None:
        subscription = self.turn.journal.subscribe()
        while not subscription.exhausted:
            self.received_at.append(trio.current_time())
            self.nudges += not await subscription.read()

    @property
    def longest_silence(self) -> float:
        times = [*self.received_at, trio.current_time()]
        return max((b - a for a, b in pairwise(times)), default=0.0)


async def test_silent_turn_is_nudged_in_time_and_not_too_often(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    turn = TurnHarness().turn()
    client = Client(turn)
    nursery.start_soon(client.run)
    nursery.start_soon(HeartbeatTimer([turn], HEARTBEAT_S).run)
    await trio.sleep(HEARTBEAT_S * 10 + 1)
    assert client.longest_silence <= HEARTBEAT_S
    assert 10 <= client.nudges <= 12
    nursery.cancel_scope.cancel()


async def test_active_turn_is_not_nudged(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    turn = TurnHarness().turn()
    client = Client(turn)
    nursery.start_soon(client.run)
    nursery.start_soon(HeartbeatTimer([turn], HEARTBEAT_S).run)
    for _ in range(100):
        await trio.sleep(HEARTBEAT_S / 2)
        turn.journal.append([Text("a")])
    assert client.nudges == 0
    nursery.cancel_scope.cancel()


async def test_ended_turns_are_forgotten(autojump_clock: MockClock) -> None:
    harness = TurnHarness()
    turns = [harness.turn(turn_id="turn_1"), harness.turn(turn_id="turn_2")]
    heartbeat = HeartbeatTimer(turns, HEARTBEAT_S)
    heartbeat.check()
    turns.pop()
    heartbeat.check()
    assert set(heartbeat._seen) == {"turn_1"}


async def _run_with_pauses(pauses: list[float], joins_at: float) -> None:
    turn = TurnHarness().turn()
    early, late = Client(turn), Client(turn)

    async def join() -> None:
        await trio.sleep(joins_at)
        await late.run()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(HeartbeatTimer([turn], HEARTBEAT_S).run)
        nursery.start_soon(early.run)
        nursery.start_soon(join)
        for pause in pauses:
            await trio.sleep(pause)
            turn.journal.append([Text("a")])
        await trio.sleep(joins_at)
        assert early.longest_silence <= HEARTBEAT_S + 1e-6
        assert late.longest_silence <= HEARTBEAT_S + 1e-6
        nursery.cancel_scope.cancel()


@given(st.lists(st.floats(0, HEARTBEAT_S * 3), max_size=8), st.floats(0, HEARTBEAT_S * 3))
def test_silence_never_exceeds_a_heartbeat(pauses: list[float], joins_at: float) -> None:
    trio.run(_run_with_pauses, pauses, joins_at, clock=MockClock(autojump_threshold=0))
