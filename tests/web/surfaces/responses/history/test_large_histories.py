"""Tests that large conversations are joined in a thread and small ones on the event loop."""

import dataclasses
import time
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from actors.turn.messages import UserMessage
from actors.turn.model_call import ModelCall
from tests.support.edge_harness import open_harness
from tests.support.responses_requests import HELLO
from tests.support.turn_fakes import ScriptedProvider
from web.service import LOCAL_USER
from web.surfaces.responses.history.history import Caller
from web.surfaces.responses.history.message_groups import MessageGroup
from web.surfaces.responses.history.model_context import count_groups, prepare
from web.surfaces.responses.request import read_responses_request


def user(content: object) -> dict[str, Any]:
    return {"role": "user", "content": content}


PARTS = [{"type": "input_text", "text": "a"}] * 1000
CALLED = [
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    *[{"role": "assistant", "content": ["a"] * 1000}] * 60,
    {"type": "function_call_output", "call_id": "c", "output": "x"},
]


@pytest.mark.parametrize(
    ("body", "large"),
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
async def test_large_conversation_is_joined_in_a_thread(
    autojump_clock: MockClock, body: dict[str, Any], large: bool
) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        ask = read_responses_request({"model": "large"} | body)
        busy = trio.CapacityLimiter(1)
        busy.acquire_on_behalf_of_nowait("another task")
        with trio.move_on_after(1) as scope:
            await prepare(
                Caller(dataclasses.replace(harness.service, readers=busy), LOCAL_USER), ask
            )
        assert scope.cancelled_caught is large
        prepared = await prepare(Caller(harness.service, LOCAL_USER), ask)
        assert prepared.large is large


async def test_token_counting_yields_to_other_tasks() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    def count_tokens(call: ModelCall) -> int:
        until = time.perf_counter() + 0.003
        while time.perf_counter() < until:
            pass
        return 1

    groups = [MessageGroup((UserMessage("Hi"),)) for _ in range(10)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        counted = await count_groups(groups, count_tokens)
        nursery.cancel_scope.cancel()
    assert [one.group for one in counted] == groups
    assert turns >= 8
