"""Tests of Anthropic requests: translation of calls, and reports of unsupported parts."""

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.providers.formats.anthropic.decoder import ANTHROPIC
from actors.providers.formats.anthropic.request import BUDGETS, traits
from actors.turn.chat_messages import read_messages
from actors.turn.model_call import ModelCall

OLD, MIDDLE, NEW = "claude-sonnet-4-5", "claude-opus-4-6", "claude-opus-5-5"
QUESTION: dict[str, Any] = {"role": "user", "content": "Hi"}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells it.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def call(*messages: dict[str, Any], model: str = OLD, **parameters: Any) -> ModelCall:
    return ModelCall(
        upstream_model=model,
        messages=read_messages(list(messages or (QUESTION,))),
        parameters=parameters,
    )


def body(asked: ModelCall) -> dict[str, Any]:
    """Return the request body of a call, after checking that nothing is left out."""
    assert ANTHROPIC.unsupported(asked) == ()
    return sent(asked)


def sent(asked: ModelCall) -> dict[str, Any]:
    document = msgspec.json.decode(ANTHROPIC.build(asked, None).body)
    assert isinstance(document, dict)
    return document


def turns(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    found = body(call(*messages))["messages"]
    assert isinstance(found, list)
    return found


def text_block(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **more}


def test_a_plain_question() -> None:
    assert body(call()) == {
        "model": OLD,
        "max_tokens": 32_000,
        "messages": [{"role": "user", "content": [text_block("Hi")]}],
        "stream": True,
    }


def test_instructions_are_joined_from_all_positions() -> None:
    asked = call(
        {"role": "system", "content": "One."},
        QUESTION,
        {"role": "developer", "content": [text_block("Two."), text_block("Three.")]},
    )
    assert body(asked)["system"] == [text_block("One."), text_block("Two."), text_block("Three.")]
    assert body(asked)["messages"] == [{"role": "user", "content": [text_block("Hi")]}]


def test_turns_alternate() -> None:
    assert turns(
        QUESTION,
        {"role": "user", "content": "there"},
        {"role": "assistant", "content": "Well,"},
        {"role": "assistant", "content": "hello."},
        {"role": "user", "content": "Bye"},
    ) == [
        {"role": "user", "content": [text_block("Hi"), text_block("there")]},
        {"role": "assistant", "content": [text_block("Well,"), text_block("hello.")]},
        {"role": "user", "content": [text_block("Bye")]},
    ]


def test_empty_texts_are_left_out() -> None:
    assert turns(
        QUESTION,
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": None},
        {"role": "user", "content": [text_block(" \n"), text_block(" you ")]},
    ) == [{"role": "user", "content": [text_block("Hi"), text_block(" you ")]}]
    assert sent(call({"role": "user", "content": " "}))["messages"] == []


def test_images() -> None:
    parts = [
        text_block("Look:"),
        {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "auto"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image_url", "image_url": {"url": "DATA:image/JPG;charset=x;base64,BBBB"}},
    ]
    (turn,) = turns({"role": "user", "content": parts})
    assert [block.get("source") for block in turn["content"]] == [
        None,
        {"type": "url", "url": "https://x.test/a.png"},
        {"type": "base64", "media_type": "image/png", "data": "AAAA"},
        {"type": "base64", "media_type": "image/jpeg", "data": "BBBB"},
    ]


@pytest.mark.parametrize(
    "url", ["data:image/svg+xml;base64,AA", "data:,x", "ftp://x.test/a.png", "", 3, None]
)
def test_unsupported_image_urls_are_left_out(url: Any) -> None:
    parts = [text_block("Look:"), {"type": "image_url", "image_url": {"url": url}}]
    asked = call({"role": "user", "content": parts})
    assert ANTHROPIC.unsupported(asked) == ("messages[0].content[1]",)
    assert sent(asked)["messages"] == [{"role": "user", "content": [text_block("Look:")]}]


def test_unsupported_parts_and_fields_are_left_out() -> None:
    asked = call(
        {
            "role": "user",
            "name": "Ann",
            "content": [text_block("Hi", odd=1), {"type": "input_audio"}, 7],
        },
        {
            "role": "assistant",
            "content": [text_block("Ho"), {"type": "image_url", "image_url": {"url": "https://x"}}],
            "audio": {"id": "a"},
            "annotations": [],
            "reasoning_content": "hm",
        },
        {"role": "function", "name": "f", "content": "x"},
        {"role": "system", "content": [{"type": "image_url", "image_url": {"url": "https://x"}}]},
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": "http://x", "detail": "low"}}],
        },
        {"content": "who?"},
        {"role": "user", "content": [{"type": "text", "text": 5}]},
    )
    assert ANTHROPIC.unsupported(asked) == (
        "messages[0].name",
        "messages[0].content[0].odd",
        "messages[0].content[1]",
        "messages[0].content[2]",
        "messages[1].reasoning_content",
        "messages[1].audio",
        "messages[1].content[1]",
        "messages[2]",
        "messages[3].content[0]",
        "messages[4].content[0].image_url.detail",
        "messages[5]",
        "messages[6].content[0]",
    )
    assert len(sent(asked)["messages"]) == 3


def test_refusals_are_text() -> None:
    assert turns(
        QUESTION,
        {"role": "assistant", "content": None, "refusal": "No."},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "Never."}]},
        QUESTION,
    )[1] == {"role": "assistant", "content": [text_block("No."), text_block("Never.")]}


def tool_call(id: str, name: str, arguments: Any) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_tool_calls_and_their_results() -> None:
    assert turns(
        QUESTION,
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [
                tool_call("call_1", "weather", '{"city": "Bonn", "n": 1.0}'),
                tool_call("functions.now:0", "now", ""),
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "name": "weather", "content": "Rain."},
        {"role": "tool", "tool_call_id": "functions.now:0", "content": [text_block("Noon.")]},
        {"role": "tool", "tool_call_id": "lost:1", "content": "", "is_error": True},
        {"role": "user", "content": "So?"},
    ) == [
        {"role": "user", "content": [text_block("Hi")]},
        {
            "role": "assistant",
            "content": [
                text_block("Let me see."),
                {
                    "type": "tool_use",
                    "id": "call_1",
                    "name": "weather",
                    "input": {"city": "Bonn", "n": 1.0},
                },
                {"type": "tool_use", "id": "functions_now_0", "name": "now", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": "Rain."},
                {
                    "type": "tool_result",
                    "tool_use_id": "functions_now_0",
                    "content": [text_block("Noon.")],
                },
                {"type": "tool_result", "tool_use_id": "lost_1", "is_error": True},
                text_block("So?"),
            ],
        },
    ]


@pytest.mark.parametrize("arguments", ["{", "[1]", '"x"', "\ud800", "[" * 100_000, 7])
def test_arguments_that_are_not_an_object(arguments: Any) -> None:
    asked = call(
        QUESTION,
        {"role": "assistant", "tool_calls": [tool_call("a", "f", arguments)]},
        {"role": "tool", "tool_call_id": "a", "content": "x"},
    )
    path = "messages[1].tool_calls[0].function.arguments"
    assert ANTHROPIC.unsupported(asked) == (path,)
    assert sent(asked)["messages"][1]["content"][0]["input"] == {}


def test_invalid_tool_calls_and_results_are_left_out() -> None:
    asked = call(
        QUESTION,
        {"role": "assistant", "content": "x", "tool_calls": [{"type": "custom"}, 3]},
        {"role": "tool", "content": "x"},
        QUESTION,
    )
    assert ANTHROPIC.unsupported(asked) == (
        "messages[1].tool_calls[0]",
        "messages[1].tool_calls[1]",
        "messages[2]",
    )


def test_prefill_has_no_trailing_space() -> None:
    asked = call(
        QUESTION, {"role": "assistant", "content": [text_block("One "), text_block(" two \n")]}
    )
    assert body(asked)["messages"][-1]["content"] == [text_block("One "), text_block(" two")]
    blank = call(QUESTION, {"role": "assistant", "content": "\n"})
    assert [turn["role"] for turn in body(blank)["messages"]] == ["user"]


def test_cache_control_keeps_its_position() -> None:
    mark = {"type": "ephemeral"}
    asked = call(
        {"role": "system", "content": [text_block("One."), text_block("Two.", cache_control=mark)]},
        {"role": "user", "content": "Hi", "cache_control": mark},
        tools=[{**WEATHER, "cache_control": mark}, {"type": "web_search_20250305", "name": "w"}],
        cache_control=mark,
    )
    found = body(asked)
    assert found["system"] == [text_block("One."), text_block("Two.", cache_control=mark)]
    assert found["messages"][0]["content"] == [text_block("Hi", cache_control=mark)]
    assert found["tools"][0]["cache_control"] == mark
    assert found["tools"][1] == {"type": "web_search_20250305", "name": "w"}
    assert found["cache_control"] == mark


def test_tools() -> None:
    bare = {"type": "function", "function": {"name": "now", "strict": True, "parameters": {}}}
    assert body(call(tools=[WEATHER, bare]))["tools"] == [
        {
            "name": "weather",
            "description": "Tells it.",
            "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
        {
            "name": "now",
            "input_schema": {"type": "object", "properties": {}, "additionalProperties": False},
            "strict": True,
        },
    ]
    hosted = {"type": "web_search"}
    assert ANTHROPIC.unsupported(call(tools=[WEATHER, hosted, 5])) == ("tools[1]", "tools[2]")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"tool_choice": "auto"}, {"type": "auto"}),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "weather"}}},
            {"type": "tool", "name": "weather"},
        ),
        ({"parallel_tool_calls": True}, None),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        (
            {"tool_choice": "required", "parallel_tool_calls": False},
            {"type": "any", "disable_parallel_tool_use": True},
        ),
        ({"tool_choice": "none", "parallel_tool_calls": False}, {"type": "none"}),
    ],
)
def test_tool_choice(wanted: dict[str, Any], found: dict[str, Any] | None) -> None:
    assert body(call(tools=[WEATHER], **wanted)).get("tool_choice") == found


def test_unsupported_tool_choices_are_left_out() -> None:
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}
    asked = call(tools=[WEATHER], tool_choice=allowed, parallel_tool_calls=False)
    assert ANTHROPIC.unsupported(asked) == ("tool_choice",)
    assert sent(asked)["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert "tool_choice" not in body(call(tool_choice="auto", parallel_tool_calls=False, tools=[]))
    without = call(tool_choice="required")
    assert ANTHROPIC.unsupported(without) == ("tool_choice",)
    assert "tool_choice" not in sent(without)


@pytest.mark.parametrize(
    ("model", "limits", "most"),
    [
        (OLD, {}, 32_000),
        ("claude-3-5-sonnet-20241022", {}, 4096),
        ("another-vendors-model", {}, 32_000),
        (OLD, {"max_tokens": 7}, 7),
        (OLD, {"max_tokens": 7, "max_completion_tokens": 9}, 9),
        (OLD, {"max_tokens": 7, "max_completion_tokens": None}, 7),
    ],
)
def test_max_tokens_is_always_set(model: str, limits: dict[str, Any], most: int) -> None:
    assert body(call(model=model, **limits))["max_tokens"] == most


def test_plain_parameters() -> None:
    found = body(
        call(
            temperature=0.5,
            top_k=40,
            stop="END",
            user="u-1",
            service_tier="default",
            store=True,
            inference_geo="eu",
            seed=None,
            n=1,
            logprobs=False,
            frequency_penalty=0,
            logit_bias={},
            response_format={"type": "text"},
        )
    )
    del found["messages"]
    assert found == {
        "model": OLD,
        "max_tokens": 32_000,
        "temperature": 0.5,
        "top_k": 40,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u-1"},
        "service_tier": "standard_only",
        "inference_geo": "eu",
        "stream": True,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", 3),
        ("logit_bias", {"1": 2}),
        ("logprobs", True),
        ("top_logprobs", 2),
        ("frequency_penalty", 0.1),
        ("presence_penalty", -1),
        ("n", 2),
        ("prediction", {"type": "content"}),
        ("modalities", ["text", "audio"]),
        ("verbosity", "low"),
        ("web_search_options", {"user_location": None}),
        ("response_format", {"type": "json_object"}),
        ("response_format", {"type": "json_schema", "json_schema": {}}),
        ("temperature", 1.1),
        ("service_tier", "flex"),
        ("service_tier", ["auto"]),
        ("metadata", {"tag": "a", "user_id": "u"}),
        ("user", "ann@example.com"),
        ("user", "x" * 257),
        ("stop", ["END", "\n"]),
        ("stop", [3]),
        ("thinking", "yes"),
        ("output_config", "high"),
        ("reasoning_effort", "utmost"),
        ("reasoning_effort", ["low"]),
        ("system", "x"),
    ],
)
def test_unsupported_parameters_are_left_out(name: str, value: Any) -> None:
    asked = call(**{name: value})
    assert ANTHROPIC.unsupported(asked) == (name,)
    found = sent(asked)
    assert found.pop("stop_sequences", ["END"]) == ["END"]
    assert found == sent(call())


def test_user_becomes_metadata() -> None:
    assert body(call(safety_identifier="s"))["metadata"] == {"user_id": "s"}
    assert body(call(metadata={"user_id": "m"}))["metadata"] == {"user_id": "m"}
    both = call(user="u", safety_identifier="s")
    assert ANTHROPIC.unsupported(both) == ("safety_identifier",)
    assert sent(both)["metadata"] == {"user_id": "u"}


def test_response_format() -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    wanted = {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": schema}}
    found = body(call(response_format=wanted, output_config={"effort": "low"}))
    assert found["output_config"] == {
        "effort": "low",
        "format": {"type": "json_schema", "schema": schema},
    }
    other = call(response_format=wanted, output_config={"format": {"type": "x"}})
    assert ANTHROPIC.unsupported(other) == ("response_format",)


def test_native_parameter_wins_over_extra_parameter() -> None:
    asked = call(stop="END", stop_sequences=["OVER"])
    assert ANTHROPIC.unsupported(asked) == ("stop_sequences",)
    assert sent(asked)["stop_sequences"] == ["END"]
    assert body(call(stop_sequences=["OVER"]))["stop_sequences"] == ["OVER"]


@pytest.mark.parametrize(
    ("name", "effort", "sampling", "temperature_with_top_p", "most"),
    [
        ("claude-3-opus-20240229", False, True, True, 4096),
        ("claude-3-7-sonnet-latest", False, True, True, 4096),
        ("claude-sonnet-4-20250514", False, True, True, 32_000),
        ("claude-opus-4-1-20250805", False, True, False, 32_000),
        ("claude-haiku-4-5@20251001", False, True, False, 32_000),
        ("anthropic.claude-opus-4-6-v1", True, True, False, 32_000),
        ("anthropic/claude-4.7-opus", True, False, False, 32_000),
        ("claude-opus-5-5", True, False, False, 32_000),
        ("claude-fable-5", True, False, False, 32_000),
        ("claude-mythos-preview", False, True, True, 32_000),
        ("deepseek-chat", False, True, True, 32_000),
        ("", False, True, True, 32_000),
    ],
)
def test_model_traits_from_the_name(
    name: str, effort: bool, sampling: bool, temperature_with_top_p: bool, most: int
) -> None:
    found = traits(name)
    assert (found.effort, found.sampling, found.temperature_with_top_p) == (
        effort,
        sampling,
        temperature_with_top_p,
    )
    assert found.max_tokens == most


def test_newer_models_take_no_sampling_parameters() -> None:
    wanted: dict[str, Any] = {"temperature": 0.2, "top_p": 0.5, "top_k": 3}
    assert ANTHROPIC.unsupported(call(model=NEW, **wanted)) == tuple(wanted)
    assert not sent(call(model=NEW, **wanted)).keys() & wanted.keys()
    usual = body(call(model=NEW, temperature=1, top_p=1.0))
    assert not usual.keys() & wanted.keys()


def test_temperature_and_top_p_together() -> None:
    wanted: dict[str, Any] = {"temperature": 0.2, "top_p": 0.5}
    assert ANTHROPIC.unsupported(call(**wanted)) == ("top_p",)
    assert body(call(model="claude-sonnet-4-20250514", **wanted)).items() >= wanted.items()
    assert body(call(top_p=0.5))["top_p"] == 0.5


@pytest.mark.parametrize(("effort", "budget"), BUDGETS.items())
def test_thinking_with_a_budget(effort: str, budget: int) -> None:
    found = body(call(reasoning_effort=effort))
    assert found["thinking"] == {"type": "enabled", "budget_tokens": budget}
    assert found["max_tokens"] == 32_000
    assert "output_config" not in found
    assert body(call(reasoning={"effort": effort})) == found


def test_other_reasoning_fields_are_left_out() -> None:
    asked = call(reasoning={"effort": "high", "exclude": True})
    assert "reasoning" not in sent(asked)
    assert ANTHROPIC.unsupported(asked) == ("reasoning.exclude",)


@pytest.mark.parametrize(
    ("most", "budget"), [(100_000, 16_384), (20_000, 10_000), (1500, 1024), (1025, 1024)]
)
def test_a_budget_leaves_room_for_the_answer(most: int, budget: int) -> None:
    found = body(call(reasoning_effort="high", max_tokens=most))
    assert found["thinking"]["budget_tokens"] == budget < found["max_tokens"] == most


def test_thinking_is_left_out_with_incompatible_parameters() -> None:
    loop: list[dict[str, Any]] = [
        {"role": "assistant", "tool_calls": [tool_call("a", "weather", "{}")]},
        {"role": "tool", "tool_call_id": "a", "content": "Rain."},
    ]
    for asked in (
        call(reasoning_effort="high", max_tokens=1024),
        call(reasoning_effort="high", tools=[WEATHER], tool_choice="required"),
        call(QUESTION, {"role": "assistant", "content": "Well,"}, reasoning_effort="high"),
        call(QUESTION, *loop, tools=[WEATHER], reasoning_effort="high"),
    ):
        assert ANTHROPIC.unsupported(asked) == ("reasoning_effort",)
        assert "thinking" not in sent(asked)
        newer = msgspec.structs.replace(asked, upstream_model=NEW)
        assert body(newer)["thinking"]["type"] == "adaptive"
    after = call(QUESTION, *loop, QUESTION, tools=[WEATHER], reasoning_effort="high")
    assert "thinking" not in sent(after)
    assert "thinking" in body(call(tools=[WEATHER], tool_choice="auto", reasoning_effort="high"))


@pytest.mark.parametrize("model", [MIDDLE, NEW])
@pytest.mark.parametrize(("wanted", "effort"), [("minimal", "low"), ("low", "low"), ("max", "max")])
def test_thinking_by_effort(model: str, wanted: str, effort: str) -> None:
    found = body(call(model=model, reasoning_effort=wanted))
    assert found["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert found["output_config"] == {"effort": effort}


@pytest.mark.parametrize("model", [OLD, NEW])
def test_no_effort_sends_no_thinking(model: str) -> None:
    assert body(call(model=model, reasoning_effort="none")) == body(call(model=model))


def test_native_thinking_parameter() -> None:
    budget = {"type": "enabled", "budget_tokens": 30_000}
    assert body(call(thinking=budget))["thinking"] == budget
    assert body(call(thinking=budget))["max_tokens"] == 34_096
    assert body(call(thinking=budget, max_tokens=31_000))["max_tokens"] == 31_000
    both = call(thinking=budget, reasoning_effort="low")
    assert ANTHROPIC.unsupported(both) == ("reasoning_effort",)
    adaptive = body(call(thinking={"type": "adaptive"}, reasoning_effort="low"))
    assert adaptive["output_config"] == {"effort": "low"}
    assert body(call(thinking={"type": "disabled"}, temperature=0))["temperature"] == 0


SIGNED = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
REDACTED = {"type": "redacted_thinking", "data": "ZGF0YQ=="}
CALLED: dict[str, Any] = {
    "role": "assistant",
    "content": "Well.",
    "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
ANSWERED: dict[str, Any] = {"role": "tool", "tool_call_id": "a", "content": "42"}


def test_signed_thinking_comes_first_in_the_message() -> None:
    found = turns(QUESTION, CALLED | {"thinking_blocks": [SIGNED, REDACTED]}, ANSWERED)
    assert found[1]["content"][:3] == [SIGNED, REDACTED, text_block("Well.")]
    for odd in ("Hm.", [SIGNED, {"type": "text"}, "x"]):
        invalid = call(QUESTION, CALLED | {"thinking_blocks": odd}, ANSWERED)
        assert ANTHROPIC.unsupported(invalid) == ("messages[1].thinking_blocks",)
        assert sent(invalid)["messages"][1]["content"][0] == text_block("Well.")


def test_budget_after_a_tool_result_requires_the_earlier_thinking() -> None:
    budget = {"type": "enabled", "budget_tokens": 1024}
    signed = call(QUESTION, CALLED | {"thinking_blocks": [SIGNED]}, ANSWERED, thinking=budget)
    assert body(signed)["thinking"] == budget
    lost = call(QUESTION, CALLED, ANSWERED, thinking=budget, temperature=0.5)
    assert ANTHROPIC.unsupported(lost) == ("thinking",)
    assert "thinking" not in sent(lost)
    assert sent(lost)["temperature"] == 0.5
    adaptive = {"type": "adaptive"}
    assert body(call(QUESTION, CALLED, ANSWERED, thinking=adaptive))["thinking"] == adaptive
    assert body(call(ANSWERED, thinking=budget))["thinking"] == budget


def test_sampling_while_thinking() -> None:
    wanted: dict[str, Any] = {"temperature": 0.2, "top_p": 0.5, "top_k": 3}
    asked = call(reasoning_effort="low", model=MIDDLE, **wanted)
    assert ANTHROPIC.unsupported(asked) == tuple(wanted)
    assert body(call(reasoning_effort="low", top_p=0.95))["top_p"] == 0.95


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["type", "text", "image_url", "url", "function", "name", "arguments",
                         "id", "role", "content", "refusal", "cache_control", "schema"]),
        inner, max_size=4),
    max_leaves=10,
)  # fmt: skip
MESSAGES = st.lists(
    st.dictionaries(
        st.sampled_from(["role", "content", "tool_calls", "tool_call_id", "refusal", "name"]),
        st.sampled_from(["system", "user", "assistant", "tool", "developer"]) | ANYTHING,
        max_size=5,
    ),
    max_size=4,
)
PARAMETERS = st.dictionaries(
    st.sampled_from(
        ["tools", "tool_choice", "stop", "user", "metadata", "response_format", "max_tokens",
         "reasoning_effort", "reasoning", "thinking", "temperature", "top_p", "top_k",
         "output_config", "service_tier", "parallel_tool_calls", "odd", "seed", "logit_bias"]),
    ANYTHING | st.sampled_from(["high", "auto", "required"]),
    max_size=6,
)  # fmt: skip


@given(MESSAGES, PARAMETERS, st.sampled_from([OLD, MIDDLE, NEW, "other"]))
def test_arbitrary_client_input_does_not_crash(
    messages: list[dict[str, Any]], parameters: dict[str, Any], model: str
) -> None:
    asked = ModelCall(upstream_model=model, messages=read_messages(messages), parameters=parameters)
    before = msgspec.json.encode(asked)
    left_out = ANTHROPIC.unsupported(asked)
    document = sent(asked)
    assert msgspec.json.encode(asked) == before
    assert all(left_out)
    roles = [turn["role"] for turn in document["messages"]]
    assert all(one != other for one, other in pairwise(roles))
    assert all(turn["content"] for turn in document["messages"])
