"""What of a call its provider reads as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.prompt_text import APART, is_all_text, prompt_text
from actors.providers.base import ModelCall

IMAGE = {"type": "image_url", "image_url": {"url": "https://x/" + "a" * 100}}


def call(*messages: dict[str, object], **parameters: object) -> ModelCall:
    return ModelCall(upstream_model="m", messages=list(messages), parameters=parameters)


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
    assert prompt_text(call(message)) == text


def test_calls_of_tools_are_text() -> None:
    function = {"name": "weather", "arguments": '{"city": "Rome"}'}
    message: dict[str, object] = {
        "role": "assistant",
        "content": "Let me look.",
        "tool_calls": [{"id": "c", "type": "function", "function": function}],
    }
    expected = ["Let me look.", "weather", '{"city": "Rome"}']
    assert prompt_text(call(message)).split(APART) == expected


def test_tools_that_are_offered_are_text() -> None:
    tools = [{"type": "function", "function": {"name": "weather"}}]
    offered = '[{"type":"function","function":{"name":"weather"}}]'
    assert (
        prompt_text(call({"role": "user", "content": "Hi"}, tools=tools)) == f"Hi{APART}{offered}"
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
def test_whether_a_call_is_all_text(content: object, whole: bool) -> None:
    assert is_all_text(call({"role": "user", "content": content})) == whole


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
def test_no_message_is_a_crash(content: object, tool_calls: object) -> None:
    odd = call({"role": "user", "content": content, "tool_calls": tool_calls})
    assert isinstance(prompt_text(odd), str)
    assert is_all_text(odd) in (True, False)
