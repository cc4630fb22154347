"""Large conversations are worked on where nobody has to wait for them, and small ones at once."""

import time
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from actors.providers.base import ModelCall
from tests.actors.fakes import ScriptedProvider
from tests.web.house import open_house
from tests.web.responding import HELLO
from web.responses.prepare import prepare
from web.responses.request import read_responses_request
from web.responses.shown import weigh_all
from web.responses.units import Unit


def user(content: object) -> dict[str, Any]:
    return {"role": "user", "content": content}


PARTS = [{"type": "input_text", "text": "a"}] * 1000
CALLED = [
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    *[{"role": "assistant", "content": ["a"] * 1000}] * 60,
    {"type": "function_call_output", "call_id": "c", "output": "x"},
]


@pytest.mark.parametrize(
    ("asked", "large"),
    [
        ({"input": "Hi"}, False),
        ({"input": [user("And what does the second violin say?")] * 300}, False),
        ({"input": [user(PARTS)] * 60}, True),
        ({"input": CALLED}, True),
        ({"input": [user("Hi")] * 2000}, True),
        ({"input": "Hi", "conversation_history": [user(PARTS)] * 60}, True),
        (
            {
                "input": [{"type": "item_reference", "id": "msg_1"}] * 2000,
                "conversation_history": [user("Hi") | {"type": "message", "id": "msg_1"}],
            },
            True,
        ),
    ],
)
async def test_what_is_large_is_put_together_in_a_thread(
    autojump_clock: MockClock, asked: dict[str, Any], large: bool
) -> None:
    taken = trio.CapacityLimiter(1)
    taken.acquire_on_behalf_of_nowait("somebody")
    async with open_house(ScriptedProvider(*HELLO)) as house:
        ask = read_responses_request({"model": "large"} | asked)
        with trio.move_on_after(1) as scope:
            await prepare(house.service, ask, taken)
        assert scope.cancelled_caught is large
        prepared = await prepare(house.service, ask, trio.CapacityLimiter(1))
        assert prepared.large is large


async def test_weighing_lets_others_have_their_turns() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    def weigh(call: ModelCall) -> int:
        until = time.perf_counter() + 0.003
        while time.perf_counter() < until:
            pass
        return 1

    units = [Unit([user("Hi")]) for _ in range(10)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        weighed = await weigh_all(units, weigh)
        nursery.cancel_scope.cancel()
    assert [one.unit for one in weighed] == units
    assert turns >= 8
