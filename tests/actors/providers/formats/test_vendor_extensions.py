"""Tests of removing fields that only the client's API knows."""

from typing import Any

import pytest
from msgspec.structs import replace

from actors.providers.formats.vendor_extensions import (
    THINKING,
    as_chat,
    redundant_parameters,
)
from actors.turn.chat_messages import read_messages, write_messages
from actors.turn.model_call import ModelCall

MARK = {"cache_control": {"type": "ephemeral"}}
TEXT = {"type": "text", "text": "Hi"}


def call(*messages: dict[str, Any], **parameters: Any) -> ModelCall:
    return ModelCall(
        upstream_model="m",
        messages=read_messages(list(messages)),
        parameters=parameters,
        foreign={"cache_control": (), "thinking": ("reasoning_effort",)},
    )


def test_call_without_vendor_fields_is_unchanged() -> None:
    plain = replace(call({"role": "user", "content": [TEXT | MARK]}), foreign={})
    assert as_chat(plain) == (plain, [])
    assert as_chat(plain)[0] is plain


def test_vendor_fields_are_left_out_everywhere() -> None:
    function = {"type": "function", "function": {"name": "f", "parameters": MARK}}
    asked = call(
        {"role": "user", "content": [TEXT | MARK, "odd", TEXT]},
        {"role": "assistant", "content": None, "tool_calls": [function | MARK]},
        {"role": "tool", "tool_call_id": "a", "content": "b", **MARK},
        tools=[function | MARK, function],
        temperature=1,
        **MARK,
    )
    plain, left_out = as_chat(asked)
    assert plain == ModelCall(
        upstream_model="m",
        messages=read_messages(
            [
                {"role": "user", "content": [TEXT, "odd", TEXT]},
                {"role": "assistant", "content": None, "tool_calls": [function]},
                {"role": "tool", "tool_call_id": "a", "content": "b"},
            ]
        ),
        parameters={"tools": [function, function], "temperature": 1},
    )
    assert left_out == [
        "cache_control",
        "tools[0].cache_control",
        "messages[0].content[0].cache_control",
        "messages[1].tool_calls[0].cache_control",
        "messages[2].cache_control",
    ]
    assert write_messages(asked.messages)[2]["cache_control"] == MARK["cache_control"], (
        "the call was modified"
    )


def test_redundant_vendor_fields_are_left_out_without_a_report() -> None:
    plain, left_out = as_chat(call(thinking={"type": "enabled"}, reasoning_effort="low"))
    assert plain.parameters == {"reasoning_effort": "low"}
    assert left_out == []


def test_redundant_parameters() -> None:
    assert redundant_parameters(call(thinking={}, reasoning_effort="low")) == {"reasoning_effort"}
    assert redundant_parameters(call(reasoning_effort="low")) == frozenset()


@pytest.mark.parametrize("takes", [True, False])
def test_thinking_can_be_kept(takes: bool) -> None:
    thought = {"role": "assistant", "content": "a", THINKING: "hm"}
    asked = replace(call(thought), foreign={THINKING: ()})
    plain, left_out = as_chat(asked, keep=(THINKING,) if takes else ())
    assert (THINKING in write_messages(plain.messages)[0]) is takes
    assert left_out == ([] if takes else [f"messages[0].{THINKING}"])
