"""No client waits longer than a heartbeat."""

from dataclasses import dataclass, field
from itertools import pairwise

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from actors.events import Text
from actors.pulse import LOOKS_PER_HEARTBEAT, Pulse
from actors.turn import Turn
from tests.actors.fakes import Theatre

HEARTBEAT_S = 15.0
LOOK_S = HEARTBEAT_S / LOOKS_PER_HEARTBEAT


@dataclass
class Client:
    """Follows a turn and notes when it heard something."""

    turn: Turn
    heard_at: list[float] = field(default_factory=list)
    nudges: int = 0

    async def run(self) -> None:
        subscription = self.turn.journal.subscribe()
        while not subscription.exhausted:
            self.heard_at.append(trio.current_time())
            self.nudges += not await subscription.read()

    @property
    def longest_silence(self) -> float:
        times = [*self.heard_at, trio.current_time()]
        return max((b - a for a, b in pairwise(times)), default=0.0)


async def test_a_silent_turn_is_nudged_in_time_and_not_too_often(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    turn = Theatre().turn()
    client = Client(turn)
    nursery.start_soon(client.run)
    nursery.start_soon(Pulse([turn], HEARTBEAT_S).run)
    await trio.sleep(HEARTBEAT_S * 10 + 1)
    assert client.longest_silence <= HEARTBEAT_S
    assert 10 <= client.nudges <= 12
    nursery.cancel_scope.cancel()


async def test_a_turn_that_talks_is_left_alone(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    turn = Theatre().turn()
    client = Client(turn)
    nursery.start_soon(client.run)
    nursery.start_soon(Pulse([turn], HEARTBEAT_S).run)
    for _ in range(100):
        await trio.sleep(HEARTBEAT_S / 2)
        turn.journal.append([Text("a")])
    assert client.nudges == 0
    nursery.cancel_scope.cancel()


async def test_turns_that_ended_are_forgotten(autojump_clock: MockClock) -> None:
    theatre = Theatre()
    turns = [theatre.turn(turn_id="turn_1"), theatre.turn(turn_id="turn_2")]
    pulse = Pulse(turns, HEARTBEAT_S)
    pulse.look()
    turns.pop()
    pulse.look()
    assert set(pulse._seen) == {"turn_1"}


async def _talk(pauses: list[float], joins_at: float) -> None:
    turn = Theatre().turn()
    early, late = Client(turn), Client(turn)

    async def join() -> None:
        await trio.sleep(joins_at)
        await late.run()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(Pulse([turn], HEARTBEAT_S).run)
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
def test_whenever_it_talks_silence_is_never_longer(pauses: list[float], joins_at: float) -> None:
    trio.run(_talk, pauses, joins_at, clock=MockClock(autojump_threshold=0))
