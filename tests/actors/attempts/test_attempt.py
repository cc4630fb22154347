"""Tests of the opening events of an attempt."""

from msgspec.structs import replace
from trio.testing import MockClock

from actors.attempts.attempt import opening
from actors.turn.events import RouteChanged, Started, Warning
from actors.turn.model_call import Route
from tests.support.turn_fakes import TurnHarness, a_request

NOTES = (Warning("truncated", "The oldest were left out."), Warning("b", "c"))
MAIN, SPARE = Route("main", "m"), Route("spare", "s")


async def test_notes_follow_started_and_come_once(
    autojump_clock: MockClock,
) -> None:
    turn = TurnHarness().turn(replace(a_request(), notes=NOTES))
    turn.begin_step(turn.request.call).input_estimate = 3
    started, *notes = opening(turn, MAIN, changed="", restart=None)
    assert isinstance(started, Started)
    assert (started.provider, started.input_estimate) == ("main", 3)
    assert tuple(notes) == NOTES
    assert opening(turn, MAIN, changed="", restart=None) == []
    changed = opening(turn, SPARE, changed="refused", restart=None)
    assert changed == [RouteChanged("spare", "s", "refused")]
