"""Ended turns must be freed at once: a reference cycle would keep them until a collection."""

import gc
from collections.abc import Iterator

import pytest
import trio
from trio.testing import MockClock

from actors.journal.journal import Journal
from actors.run_turn import run_turn
from actors.turn.outcome import Reason
from actors.turn.state import Turn
from tests.support.turn_fakes import FOREVER, Line, ScriptedProvider, TurnHarness, stop, text

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


async def run(script: list[Line]) -> None:
    harness = TurnHarness(ScriptedProvider(*script))
    turn = harness.turn()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_turn, turn, harness.dependencies)
        await trio.sleep(1)
        turn.stop(Reason.CLIENT_DISCONNECTED)
        await turn.final.wait()
    assert in_memory(Turn), "the search must find a live turn"


@pytest.mark.parametrize("name", SCRIPTS)
async def test_ended_turn_is_freed_without_a_garbage_collection(
    autojump_clock: MockClock, no_collections: None, name: str
) -> None:
    before = in_memory(Turn, Journal)
    await run(SCRIPTS[name])
    assert in_memory(Turn, Journal) == before
