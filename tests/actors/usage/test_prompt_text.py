"""Tests of the prompt text and its sampling."""

import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.turn.chat_messages import read_messages, write_messages
from actors.turn.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    NativePart,
    TextPart,
    UserMessage,
    VideoPart,
)
from actors.turn.model_call import ModelCall
from actors.usage.prompt_text import APART, MOST_TEXT, prompt_text

IMAGE = {"type": "image_url", "image_url": {"url": "https://x/" + "a" * 100}}


def call(*messages: dict[str, object], **parameters: object) -> ModelCall:
    return ModelCall(
        upstream_model="m", messages=read_messages(list(messages)), parameters=parameters
    )


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"role": "user", "content": "Hello"}, "Hello"),
        ({"role": "user", "content": [{"type": "text", "text": "a"}, IMAGE]}, "a"),
        ({"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}, "No."),
        ({"role": "tool", "tool_call_id": "c", "content": "42"}, "42"),
        ({"role": "user", "content": None}, ""),
        ({"role": "user", "content": 17}, ""),
        ({"role": "user", "content": ["a", 1, {"text": 2}]}, ""),
        ({"role": "user"}, ""),
        ({"role": "assistant", "tool_calls": "none"}, ""),
        ({"role": "assistant", "tool_calls": [{"id": "c", "function": None}, 3]}, ""),
    ],
)
def test_the_text_of_a_message(message: dict[str, object], text: str) -> None:
    found = prompt_text(call(message))
    assert (found.text, found.size) == (text, len(text))


def test_media_are_no_text_but_their_words_in_other_apis_are() -> None:
    base64 = "A" * 10_000
    parts = (
        TextPart("a"),
        ImagePart(f"data:image/png;base64,{base64}"),
        FilePart(f"data:application/pdf;base64,{base64}", filename="a.pdf"),
        AudioPart(base64, "wav"),
        VideoPart(f"data:video/mp4;base64,{base64}"),
        NativePart("anthropic", {"type": "server_tool_use", "input": base64}),
        NativePart("anthropic", {"type": "search_result", "content": base64}, "found"),
    )
    found = prompt_text(ModelCall(messages=(UserMessage(parts),)))
    assert found.text.split(APART) == ["a", "found"]
    assert not found.is_complete


def test_tool_calls_are_text() -> None:
    function = {"name": "weather", "arguments": '{"city": "Rome"}'}
    message: dict[str, object] = {
        "role": "assistant",
        "content": "Let me look.",
        "tool_calls": [{"id": "c", "type": "function", "function": function}],
    }
    expected = ["Let me look.", "weather", '{"city": "Rome"}']
    assert prompt_text(call(message)).text.split(APART) == expected


def test_offered_tools_are_text() -> None:
    tools = [{"type": "function", "function": {"name": "weather"}}]
    offered = '[{"type":"function","function":{"name":"weather"}}]'
    assert (
        prompt_text(call({"role": "user", "content": "Hi"}, tools=tools)).text
        == f"Hi{APART}{offered}"
    )


@pytest.mark.parametrize(
    ("content", "whole"),
    [
        ("Hello", True),
        (None, True),
        ([{"type": "text", "text": "a"}], True),
        ([{"type": "refusal", "refusal": "a"}], True),
        ([{"type": "text", "text": "a"}, IMAGE], False),
        ([{"type": "file", "file": {"file_id": "f"}}], False),
    ],
)
def test_prompt_with_parts_without_text_is_incomplete(content: object, whole: bool) -> None:
    assert prompt_text(call({"role": "user", "content": content})).is_complete == whole


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["text", "type", "refusal", "function", "name", "arguments"]), inner
        )
    ),
    max_leaves=8,
)


@given(json, json)
def test_arbitrary_messages_do_not_crash(content: object, tool_calls: object) -> None:
    odd = call({"role": "user", "content": content, "tool_calls": tool_calls})
    assert prompt_text(odd).times == 1


LINE = "The lighthouse had been dark for eleven years. "


def test_long_prompt_is_sampled() -> None:
    found = prompt_text(call({"role": "user", "content": LINE * 100_000}, {"content": "Hi"}))
    assert len(found.text) <= MOST_TEXT + 2
    assert found.size == len(LINE) * 100_000 + 3
    assert found.times == pytest.approx(found.size / len(found.text))


PARTS = [{"type": "text", "text": LINE}, {"type": "text", "text": "Well"}]
CALLS = [{"function": {"name": "f", "arguments": "{}" * 9}}]
MIXED: dict[str, object] = {
    "role": "assistant",
    "content": PARTS * 25,
    "tool_calls": CALLS * 30,
}
TOOL = {"type": "function", "function": {"name": "f" * 40, "parameters": {"a": [1, 2]}}}


@pytest.mark.parametrize(
    ("one", "times"),
    [
        (call({"role": "user", "content": LINE}, {"content": "Well"}), 20_000),
        (call({"role": "user", "content": PARTS * 50}), 2_000),
        (call({"role": "user", "content": PARTS * 10_000}), 5),
        (call({"role": "assistant", "tool_calls": CALLS * 50_000}), 1),
        (call(MIXED, MIXED), 3000),
        (call(tools=[TOOL] * 10_000), 1),
        (call(tools=[{**TOOL, "more": [LINE] * 10_000}]), 1),
        (call(tools={"odd": [LINE] * 10_000}), 1),
    ],
)
def test_size_of_a_huge_prompt_is_approximated(one: ModelCall, times: int) -> None:
    huge = msgspec.structs.replace(one, messages=one.messages * times)
    started = time.process_time()
    found = prompt_text(huge)
    assert time.process_time() - started < 0.1
    assert len(found.text) <= MOST_TEXT + 10_000, "including separators"
    assert found.size == pytest.approx(text_size(huge), rel=0.25)
    assert found.is_complete


def text_size(call: ModelCall) -> int:
    """Return the number of characters of all texts and of the tools as JSON."""
    size = 0
    for message in write_messages(call.messages):
        found: Any = message
        content = found.get("content") or []
        size += len(content) if isinstance(content, str) else sum(len(p["text"]) for p in content)
        for one in found.get("tool_calls") or []:
            size += len(one["function"]["name"]) + len(one["function"]["arguments"])
    return size + len(json_text(call.parameters.get("tools") or ""))


def json_text(value: object) -> str:
    return msgspec.json.encode(value).decode() if value else ""
