"""Tests of fields, betas and system messages, which depend on the client's API and on the model."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from actors.providers.formats.anthropic.decoder import ANTHROPIC
from actors.turn.chat_messages import read_messages
from actors.turn.model_call import ModelCall

HI = {"role": "user", "content": "Hi"}
SYSTEM = {"role": "system", "content": "Be kind."}
SAID = {"role": "assistant", "content": "Hello."}
EDITS = {"edits": [{"type": "clear_tool_uses_20250919"}]}
CONTEXT, CODE = "context-management-2025-06-27", "claude-code-20250219"


def call(*messages: dict[str, Any], **parameters: Any) -> ModelCall:
    return ModelCall(
        upstream_model="claude-opus-4-8",
        messages=read_messages(messages or [HI]),
        parameters=parameters,
    )


def own(asked: ModelCall, *betas: str) -> ModelCall:
    """Return the call as if a client of the Messages API had made it."""
    return replace(
        asked, client="anthropic", betas=betas, foreign=dict.fromkeys(asked.parameters, ())
    )


def sent(asked: ModelCall) -> dict[str, Any]:
    found = msgspec.json.decode(ANTHROPIC.build(asked, None).body)
    assert isinstance(found, dict)
    return found


def header(asked: ModelCall) -> str | None:
    return dict(ANTHROPIC.build(asked, None).headers).get("anthropic-beta")


@pytest.mark.parametrize(
    ("field", "value", "beta"),
    [
        ("context_management", EDITS, CONTEXT),
        ("context_management", EDITS, "compact-2026-01-12"),
        ("output_format", {"type": "json_schema"}, "structured-outputs-2025-11-13"),
        ("fallbacks", [{"model": "x"}], "server-side-fallback-2026-07-01"),
    ],
)
def test_beta_fields_are_sent_with_their_beta_alone(field: str, value: object, beta: str) -> None:
    asked = own(call(**{field: value}), CODE, beta)
    assert sent(asked)[field] == value
    assert header(asked) == f"{CODE},{beta}"
    assert ANTHROPIC.unsupported(asked) == ()
    for betas in ((), (CODE,)):
        without = own(call(**{field: value}), *betas)
        assert field not in sent(without)
        assert header(without) == (",".join(betas) or None)
        assert ANTHROPIC.unsupported(without) == (field,)


def test_newer_fields_are_sent_with_a_beta_of_their_name() -> None:
    asked = own(call(new_things={"a": 1}), CODE, "new-thing-2027-01-01")
    assert sent(asked)["new_things"] == {"a": 1}
    assert ANTHROPIC.unsupported(own(call(new_things={"a": 1}), CODE)) == ("new_things",)


def test_refused_beta_is_left_out_with_its_fields() -> None:
    asked = replace(
        own(call(context_management=EDITS), CODE, CONTEXT), refused=frozenset([CONTEXT])
    )
    assert header(asked) == CODE
    assert ANTHROPIC.unsupported(asked) == ("context_management",)


@pytest.mark.parametrize("field", ["client_metadata", "min_p", "chat_template_kwargs", "include"])
@pytest.mark.parametrize("client", ["openai-chat", "openai-responses", "anthropic"])
def test_fields_of_other_apis_are_left_out(field: str, client: str) -> None:
    asked = replace(call(**{field: {"a": 1}}), client=client)
    for foreign in ({}, {field: ()}):
        made = replace(asked, foreign=foreign)
        assert sent(made) == sent(call())
        assert ANTHROPIC.unsupported(made) == (field,)


def test_fields_of_tools_that_the_api_lacks_are_left_out() -> None:
    function = {"name": "f", "parameters": {"type": "object"}}
    tool = {"type": "function", "function": function, "defer_loading": True, "odd": 1}
    assert sent(call(tools=[tool]))["tools"] == [
        {"name": "f", "input_schema": {"type": "object"}, "defer_loading": True}
    ]
    assert ANTHROPIC.unsupported(call(tools=[tool])) == ("tools[0].odd",)
    assert ANTHROPIC.unsupported(own(call(tools=[tool]), "odd-2027-01-01")) == ()


def roles(asked: ModelCall) -> list[str]:
    return [turn["role"] for turn in sent(asked)["messages"]]


OLD = "claude-sonnet-4-5"


@pytest.mark.parametrize(
    ("model", "client", "messages", "expected"),
    [
        ("claude-opus-4-8", "openai-chat", [HI, SYSTEM], ["user", "system"]),
        ("claude-opus-5-5", "openai-chat", [HI, SYSTEM, SAID, HI], "user system assistant user"),
        ("claude-fable-5", "openai-responses", [HI, SYSTEM, SYSTEM], ["user", "system"]),
        ("claude-opus-4-8", "openai-chat", [SYSTEM, HI], ["user"]),
        ("claude-opus-4-8", "openai-chat", [HI, SYSTEM, HI], ["user"]),
        ("claude-opus-4-8", "openai-chat", [HI, SAID, SYSTEM, HI], "user assistant user"),
        (OLD, "openai-chat", [HI, SYSTEM], ["user"]),
        ("claude-sonnet-5", "openai-chat", [HI, SYSTEM], ["user"]),
        ("other", "openai-chat", [HI, SYSTEM], ["user"]),
        ("claude-opus-4-8", "anthropic", [HI, SAID, SYSTEM, HI], "user assistant system user"),
        ("claude-sonnet-5", "anthropic", [HI, SYSTEM], ["user", "system"]),
        ("other", "anthropic", [HI, SYSTEM], ["user", "system"]),
        ("other", "anthropic", [SYSTEM, HI], ["user"]),
        (OLD, "anthropic", [HI, SYSTEM], ["user"]),
    ],
)
def test_system_messages_keep_their_place_if_the_model_takes_them(
    model: str, client: str, messages: list[dict[str, Any]], expected: list[str] | str
) -> None:
    asked = replace(call(*messages), upstream_model=model, client=client)
    assert roles(asked) == (expected.split() if isinstance(expected, str) else expected)
    text = {"type": "text", "text": "Be kind."}
    blocks = [*sent(asked).get("system", []), *(
        block for turn in sent(asked)["messages"] if turn["role"] == "system"
        for block in turn["content"]
    )]  # fmt: skip
    assert blocks == [text] * messages.count(SYSTEM)
    assert ANTHROPIC.unsupported(asked) == ()


def test_system_message_behind_results_does_not_hide_them() -> None:
    function = {"name": "f", "arguments": "{}"}
    calls = [{"id": "a", "type": "function", "function": function}]
    asked = own(
        call(
            HI,
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "tool_call_id": "a", "content": "r"},
            SYSTEM,
            thinking={"type": "enabled", "budget_tokens": 2000},
        )
    )
    assert roles(asked)[-1] == "system"
    assert ANTHROPIC.unsupported(asked) == ("thinking",), "the thinking before the call is missing"
