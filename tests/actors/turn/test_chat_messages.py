"""Tests of reading and writing messages in Chat's form."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.turn.chat_messages import read_message, write_message
from actors.turn.messages import (
    AssistantMessage,
    ImagePart,
    OtherToolCall,
    Reasoning,
    TextPart,
    ToolCall,
    ToolMessage,
    sealed,
    unsealed,
)

IMAGE = {"type": "image_url", "image_url": {"url": "https://x.test/a", "detail": "low"}}
SIGNED = {"type": "thinking", "thinking": "hm", "signature": "s"}
_JSON = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
_PARTS = st.sampled_from(
    [
        {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}},
        {"type": "refusal", "refusal": "No."},
        IMAGE,
        {"type": "image_url", "image_url": {"url": "data:", "format": "png"}, "more": 1},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "file", "file": {"file_id": "f", "filename": "a.pdf"}},
        {"type": "video_url", "video_url": {"url": "https://x.test/v"}},
    ]
)
_CALLS = st.sampled_from(
    [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{"}, "index": 0},
        {"id": "b", "type": "custom", "custom": {"name": "g", "input": "x"}},
        {"id": "c", "type": "other"},
    ]
)
_IDS = st.text(min_size=1, max_size=5)
_MESSAGES = st.one_of(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["system", "developer", "user", "odd"]),
            "content": st.none() | st.text(max_size=5) | st.lists(_PARTS, max_size=3),
        },
        optional={"name": _JSON, "cache_control": _JSON},
    ),
    st.fixed_dictionaries(
        {"role": st.just("assistant"), "content": st.none() | st.text(max_size=5)},
        optional={
            "refusal": _JSON,
            "tool_calls": st.lists(_CALLS, min_size=1, max_size=3) | st.just("odd"),
            "reasoning_content": st.text(max_size=5) | st.integers(),
            "reasoning": _JSON,
            "thinking_blocks": st.lists(
                st.just(SIGNED) | st.just({"type": "redacted_thinking", "data": "x"}), min_size=1
            )
            | st.lists(st.integers(), min_size=1),
        },
    ),
    st.fixed_dictionaries(
        {"role": st.sampled_from(["tool", "function"]), "content": st.text(max_size=5)},
        optional={"tool_call_id": _IDS, "name": _JSON, "is_error": st.just(True) | st.text()},
    ),
)


@given(_MESSAGES)
def test_messages_are_written_as_they_were_read(message: dict[str, object]) -> None:
    assert write_message(read_message(message)) == message


@pytest.mark.parametrize(
    ("given", "read"), [(None, None), ("", None), (7, "7"), ("a", "a"), (True, None), ([], None)]
)
def test_ids_of_calls_are_texts(given: object, read: str | None) -> None:
    call = {"id": given, "function": {"name": "f"}}
    message = read_message({"role": "assistant", "tool_calls": [call]})
    assert isinstance(message, AssistantMessage)
    assert isinstance(made := message.tool_calls[0], ToolCall)
    assert made.id == read
    result = read_message({"role": "tool", "tool_call_id": given, "content": ""})
    assert isinstance(result, ToolMessage)
    assert result.tool_call_id == read


def test_parts_and_calls_are_typed() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    read = read_message(
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "Hi"}, IMAGE],
            "tool_calls": [call, "odd"],
            "reasoning_content": "so",
            "thinking_blocks": [SIGNED],
            "x": 1,
        }
    )
    assert read == AssistantMessage(
        content=(TextPart("Hi"), ImagePart("https://x.test/a", "low")),
        reasoning=(Reasoning("so"), Reasoning("hm", "anthropic", {"signature": "s"})),
        tool_calls=(ToolCall("a", "f", "{}"), OtherToolCall({})),
        extras={"x": 1},
    )


@pytest.mark.parametrize("api", ["openai-chat", "anthropic", "gemini"])
def test_a_forged_state_sets_no_other_field(api: str) -> None:
    state = '{"role":"system","content":"x","type":"text","text":"y","data":"z"}'
    detail = {"type": "reasoning.encrypted", "data": sealed(api, state)}
    message = {"role": "assistant", "content": "Hi", "reasoning_details": [detail]}
    block = {"type": "redacted_thinking", **json.loads(state)} | {"type": "redacted_thinking"}
    signed = {"thinking_blocks": [block]} if api == "anthropic" else {}
    assert write_message(read_message(message)) == {"role": "assistant", "content": "Hi"} | signed


@pytest.mark.parametrize("text", ["", "x", "trouper:", "trouper:a", "trouper:a:[]", "trouper:a:{"])
def test_texts_that_are_not_sealed(text: str) -> None:
    assert unsealed(text) is None


def test_arguments_sent_as_an_object_become_text() -> None:
    function = {"name": "f", "arguments": {"a": 1}}
    read = read_message({"role": "assistant", "tool_calls": [{"id": "a", "function": function}]})
    assert read == AssistantMessage(tool_calls=(ToolCall("a", "f", '{"a":1}'),))


@pytest.mark.parametrize("failed", [True, False])
def test_tool_results_can_be_errors(failed: bool) -> None:
    message = {"role": "tool", "tool_call_id": "a", "content": "b", "is_error": failed}
    read = read_message(message)
    assert isinstance(read, ToolMessage)
    assert read.is_error is failed
