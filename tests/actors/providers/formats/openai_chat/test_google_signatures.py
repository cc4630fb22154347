"""Tests that calls from elsewhere are signed for the models that refuse unsigned ones."""

import json
from typing import Any

import pytest

from actors.providers.formats.openai_chat.decoder import OPENAI_CHAT
from actors.turn.chat_messages import read_messages
from actors.turn.model_call import ModelCall

PLACEHOLDER = {"google": {"thought_signature": "skip_thought_signature_validator"}}
OWN = {"google": {"thought_signature": "c2ln"}}


def call(id: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}, **fields}


@pytest.mark.parametrize(
    ("model", "first", "expected"),
    [
        ("gemini-3-pro", {}, PLACEHOLDER),
        ("google/gemini-3.1-flash", {}, PLACEHOLDER),
        ("models/gemini-10", {}, PLACEHOLDER),
        ("gemini-3-pro", {"extra_content": OWN}, OWN),
        ("gemini-2.5-pro", {}, None),
        ("gpt-5", {}, None),
    ],
)
def test_first_call_of_a_message_is_signed(
    model: str, first: dict[str, Any], expected: dict[str, Any] | None
) -> None:
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "tool_calls": [call("a", **first), call("b")]},
        {"role": "assistant", "content": "Well."},
    ]
    asked = ModelCall(messages=read_messages(messages), upstream_model=model)
    _, answer, plain = json.loads(OPENAI_CHAT.build(asked, None).body)["messages"]
    assert [one.get("extra_content") for one in answer["tool_calls"]] == [expected, None]
    assert "tool_calls" not in plain
