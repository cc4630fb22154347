"""Tests of offloading: which calls are large, and piecewise encoding."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from actors.runtime.offload import (
    LARGE_TEXT,
    LARGE_VALUES,
    encoded,
    encoded_list,
    is_large,
    off_loop,
)
from actors.turn.chat_messages import read_messages
from actors.turn.model_call import ModelCall
from tests.support.sizes import examples

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


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(max_examples=examples(30))
@given(st.dictionaries(st.text(max_size=3), JSON), st.sampled_from([0, HALF]))
def test_piecewise_encoding_gives_the_same_document(document: dict[str, Any], more: int) -> None:
    document |= {"many": [document.copy()] * more}
    assert encoded(document) == msgspec.json.encode(document)


def test_deep_documents_are_encoded() -> None:
    deep: object = "end"
    for _ in range(100):
        deep = [{"in": deep}]
    document = {"deep": deep, "many": [0] * LARGE_VALUES}
    assert encoded(document) == msgspec.json.encode(document)


@given(st.lists(st.dictionaries(st.text(max_size=3), JSON), max_size=4))
def test_piecewise_list_gives_the_same_list(objects: list[dict[str, Any]]) -> None:
    assert encoded_list(objects) == msgspec.json.encode(objects).decode()


def test_each_object_of_a_list_is_encoded_alone() -> None:
    taken: list[int] = []

    def objects() -> Iterator[dict[str, Any]]:
        for number, value in enumerate(["a", object(), "c"]):
            taken.append(number)
            yield {"value": value}

    with pytest.raises(TypeError):
        encoded_list(objects())
    assert taken == [0, 1]
