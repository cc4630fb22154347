"""Tests of what all formats have in common: calls without tools, and efforts that models lack."""

from typing import Any

import msgspec
import pytest

from actors.providers.formats.base import FormatSpec
from actors.providers.formats.gemini.decoder import GEMINI
from actors.turn.chat_messages import read_messages
from actors.turn.model_call import ModelCall
from web import registry

FORMATS = {spec.name: spec.format for spec in registry.load(registry.FORMATS, FormatSpec)}
HOSTED = {"type": "web_search_20250305", "name": "web_search"}
UNKNOWN = {"type": "next_month"}
FUNCTION = {"type": "function", "function": {"name": "f"}}
CHOICES = ["auto", "none", None, "required", FUNCTION]


def call(model: str = "m", **parameters: Any) -> ModelCall:
    messages = read_messages([{"role": "user", "content": "Hi"}])
    return ModelCall(upstream_model=model, messages=messages, parameters=parameters)


@pytest.mark.parametrize("choice", CHOICES, ids=str)
@pytest.mark.parametrize("hosted", [False, True])
@pytest.mark.parametrize("format", FORMATS)
def test_without_tools_nothing_about_tools_is_sent(
    format: str, hosted: bool, choice: object
) -> None:
    left_out_tool = UNKNOWN if format == "anthropic" else HOSTED
    tools = [left_out_tool] if hosted else []
    asked = call(tools=tools, tool_choice=choice, parallel_tool_calls=False)
    body = FORMATS[format].build(asked, None).body
    assert body == FORMATS[format].build(call(), None).body
    forced = choice in ("required", FUNCTION)
    left_out = FORMATS[format].unsupported(asked)
    assert ("tool_choice" in left_out) is forced
    assert any(path.startswith("tools[0]") for path in left_out) is hosted


@pytest.mark.parametrize(
    ("model", "derived", "explicit"),
    [
        ("gemini-2.5-flash", True, True),
        ("models/gemini-2.5-flash-lite", True, True),
        ("gemini-2.5-pro", False, False),
        ("gemini-3-flash", False, False),
        ("gemma-3", False, True),
    ],
)
def test_gemini_stops_thinking_only_if_the_model_can(
    model: str, derived: bool, explicit: bool
) -> None:
    restated = msgspec.structs.replace(
        call(model, thinking={"type": "disabled"}, reasoning_effort="none"),
        foreign={"thinking": ("reasoning_effort",)},
    )
    assert GEMINI.unsupported(restated) == ()
    asked = call(model, reasoning_effort="none")
    assert GEMINI.unsupported(asked) == (() if explicit else ("reasoning_effort",))
    for one, stops in ((restated, derived), (asked, explicit)):
        assert (b'"thinkingBudget":0' in GEMINI.build(one, None).body) is stops


@pytest.mark.parametrize("format", ["openai-responses", "responses-ws"])
@pytest.mark.parametrize(
    ("model", "effort"),
    [("gpt-5-mini", None), ("gpt-4.1", None), ("o3", None), ("gpt-5.1", "none")],
)
def test_responses_asks_for_the_effort_none_only_if_the_model_has_it(
    format: str, model: str, effort: str | None
) -> None:
    asked = call(model, reasoning_effort="none")
    body = msgspec.json.decode(FORMATS[format].build(asked, None).body)
    assert body.get("reasoning") == (None if effort is None else {"effort": effort})
    assert FORMATS[format].unsupported(asked) == (() if effort else ("reasoning_effort",))


def test_gemini_gets_pictures_behind_all_results_of_a_round() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    calls = [{"id": name, **FUNCTION} for name in ("a", "b")]
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "x"}, picture]},
        {"role": "tool", "tool_call_id": "b", "content": [picture]},
        {"role": "user", "content": "So?"},
    ]
    asked = ModelCall(upstream_model="gemini-2.5-flash", messages=read_messages(messages))
    assert GEMINI.unsupported(asked) == ()
    parts = msgspec.json.decode(GEMINI.build(asked, None).body)["contents"][-1]["parts"]
    kinds = [next(iter(part)) for part in parts]
    assert kinds == [
        *("functionResponse", "functionResponse"),
        *("text", "inlineData", "text", "inlineData", "text"),
    ]
    assert parts[0]["functionResponse"]["response"] == {"output": "x"}
