"""Tests of offloading: which calls are large, and where the work on them runs."""

import threading
import time
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from actors.runtime.offload import BUDGET, Cost, is_large, off_loop
from actors.turn.chat_messages import read_messages
from actors.turn.model_call import ModelCall

LARGE_VALUES = BUDGET // Cost.VALUE
LARGE_TEXT = BUDGET // Cost.TEXT
HALF = LARGE_VALUES // 2


def call(*messages: dict[str, Any], **parameters: Any) -> ModelCall:
    return ModelCall(
        upstream_model="m", messages=read_messages(list(messages)), parameters=parameters
    )


def user(content: object) -> dict[str, Any]:
    return {"role": "user", "content": content}


@pytest.mark.parametrize(
    ("asked", "large"),
    [
        (call(), False),
        (call(*[user("Hello")] * 100), False),
        (call(*[user("Hello")] * HALF), True),
        (call(user([{"type": "text", "text": "a"}] * 100)), False),
        (call(user([{"type": "text", "text": "a"}] * LARGE_VALUES)), True),
        (call({"role": "assistant", "tool_calls": [{}] * (LARGE_VALUES + 1)}), True),
        (call(user("a" * (LARGE_TEXT - 9))), False),
        (call(user("a" * LARGE_TEXT)), True),
        (call(user("a" * (LARGE_TEXT // 2)), user("a" * (LARGE_TEXT // 2))), True),
        (call(tools=[{"type": "function", "function": {"name": "f"}}] * 100), False),
        (call(tools=[{"type": "function", "function": {"name": "f"}}] * HALF), True),
        (call(metadata={"a": "b" * (LARGE_TEXT + 1)}), True),
    ],
)
def test_which_calls_are_large(asked: ModelCall, large: bool) -> None:
    assert is_large(asked.parameters, asked.messages) is large


def test_huge_call_is_classified_quickly() -> None:
    parts = [{"type": "text", "text": "a"}] * 50
    huge = call(*[user(parts) for _ in range(10_000)])
    started_at = time.process_time()
    for _ in range(100):
        assert is_large(huge.parameters, huge.messages)
    assert time.process_time() - started_at < 0.5, "a check takes over 5 ms"


async def test_large_work_runs_in_a_thread() -> None:
    threads = trio.CapacityLimiter(1)
    here = threading.get_ident()
    assert await off_loop(False, threads, threading.get_ident) == here
    assert await off_loop(True, threads, threading.get_ident) != here


async def test_cancelled_caller_does_not_wait_for_the_thread(autojump_clock: MockClock) -> None:
    threads, released = trio.CapacityLimiter(1), threading.Event()
    with trio.move_on_after(1) as scope:
        await off_loop(True, threads, released.wait)
    assert scope.cancelled_caught
    released.set()
