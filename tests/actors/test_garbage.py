"""What ends leaves memory at once: a cycle would keep it until a collection, which may be long."""

import gc
from collections.abc import Iterator

import pytest
import trio
from trio.testing import MockClock

from actors.journal import Journal
from actors.outcome import Reason
from actors.run_turn import run_turn
from actors.turn import Turn
from tests.actors.fakes import FOREVER, Line, ScriptedProvider, Theatre, stop, text

SCRIPTS: dict[str, list[Line]] = {
    "whole": [text("a"), stop()],
    "stopped": [text("a"), FOREVER],
    "truncated": [text("a")],
}


@pytest.fixture
def no_collections() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def in_memory(*kinds: type) -> int:
    return sum(type(found) in kinds for found in gc.get_objects())


async def play(script: list[Line]) -> None:
    theatre = Theatre(ScriptedProvider(*script))
    turn = theatre.turn()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_turn, turn, theatre.backstage)
        await trio.sleep(1)
        turn.stop(Reason.CLIENT_DISCONNECTED)
        await turn.final.wait()
    assert in_memory(Turn), "it is looked for in the right place"


@pytest.mark.parametrize("name", SCRIPTS)
async def test_a_turn_is_gone_when_it_has_ended(
    autojump_clock: MockClock, no_collections: None, name: str
) -> None:
    before = in_memory(Turn, Journal)
    await play(SCRIPTS[name])
    assert in_memory(Turn, Journal) == before
