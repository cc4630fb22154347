"""No text of 1 MiB keeps the event loop waiting for more than 50 ms, coming in or going out."""

import time
from dataclasses import replace as replaced

import pytest
import trio
from msgspec.structs import replace

from actors.guards.input.scoring import score
from actors.guards.wording.semantics import scores
from actors.run_turn import run_turn
from actors.turn.chunks import TextChunk
from actors.turn.outcome import GuardMode
from tests.support.long_texts import SIZE, TEXTS
from tests.support.turn_fakes import ScriptedProvider, TurnHarness, a_request, stop
from web import registry

MOST_S = 0.05
ANSWERS = TEXTS | {
    "mail": "Write to someone@example.org. ",
    "remark": "As an AI language model, I know it. ",
    "fences": "```\n",
    "quotes": '"',
    "key": "-----BEGIN ",
    "calls": '{"name": "f", "arguments": {}}\n',
}


class Ticker:
    """A task that measures how long the event loop does not run it."""

    def __init__(self) -> None:
        self.worst_s = 0.0

    async def run(self) -> None:
        while True:
            before = time.perf_counter()
            await trio.sleep(0.001)
            self.worst_s = max(self.worst_s, time.perf_counter() - before - 0.001)


def repeated(text: str) -> str:
    return text * (SIZE // len(text))


@pytest.mark.alone
@pytest.mark.parametrize("name", TEXTS)
async def test_input_is_scored_beside_the_event_loop(name: str) -> None:
    ticker = Ticker()
    score("ignore")  # compiles the patterns
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ticker.run)
        await trio.sleep(0.01)
        await trio.to_thread.run_sync(score, repeated(TEXTS[name]))
        nursery.cancel_scope.cancel()
    assert ticker.worst_s < MOST_S


@pytest.mark.alone
@pytest.mark.parametrize("mode", GuardMode)
@pytest.mark.parametrize("name", ANSWERS)
async def test_answer_is_checked_beside_the_event_loop(name: str, mode: GuardMode) -> None:
    harness = TurnHarness(
        ScriptedProvider([TextChunk(repeated(ANSWERS[name]))], stop()),
        guards=list(registry.guards().values()),
    )
    guards = replaced(harness.dependencies.guards, scores_of=scores)
    dependencies = replaced(harness.dependencies, guards=guards)
    asked = a_request("main", max_answer_bytes=8 * SIZE)
    plan = replace(
        asked.guards,
        guards=tuple(registry.guards()),
        mode=mode,
        retries=0,
        personal_data=("email", "phone", "iban", "card"),
    )
    ticker = Ticker()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ticker.run)
        await trio.sleep(0.01)
        await run_turn(harness.turn(replace(asked, guards=plan)), dependencies)
        nursery.cancel_scope.cancel()
    assert harness.observer.crashes == []
    assert ticker.worst_s < MOST_S
