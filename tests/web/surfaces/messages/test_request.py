"""Tests of Messages requests: validation, conversion to a chat, and conversion back."""

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.providers.formats.anthropic.decoder import ANTHROPIC
from actors.providers.formats.base import Format
from actors.providers.formats.gemini.decoder import GEMINI
from actors.providers.formats.ollama.decoder import OLLAMA
from actors.providers.formats.openai_chat.decoder import OPENAI_CHAT
from actors.providers.formats.openai_responses.decoder import OPENAI_RESPONSES
from actors.turn.chat_messages import write_messages
from actors.turn.model_call import ModelCall
from web.http.api_error import ApiError
from web.http.json_body import read_json
from web.surfaces.content_parts import MAX_PARTS
from web.surfaces.messages.request import read_count_request, read_messages_request
from web.surfaces.validation import MAX_MESSAGES
from web.turns.planner import ModelRequest

USER = {"role": "user", "content": "Hi"}
PNG = b64encode(b"not really a picture").decode()
CACHED = {"cache_control": {"type": "ephemeral"}}
WEATHER = {
    "name": "weather",
    "description": "Tells it.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Bonn"}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "Rain."}


def body(**changes: object) -> dict[str, Any]:
    return {"model": "large", "max_tokens": 2000, "messages": [USER]} | changes


def read(**changes: object) -> ModelRequest:
    return read_messages_request(body(**changes))


def parameters(**changes: object) -> Mapping[str, object]:
    """Return the parameters of the call without `max_tokens`."""
    found = dict(read(**changes).call.parameters)
    assert found.pop("max_tokens") == 2000
    return found


def chat(*messages: object, **changes: object) -> list[dict[str, object]]:
    return write_messages(read(messages=list(messages), **changes).call.messages)


def refusal(**changes: object) -> tuple[str | None, str | None, str]:
    with pytest.raises(ApiError) as caught:
        read(**changes)
    info = caught.value.info
    assert (info.status, info.type) == (400, "invalid_request_error")
    assert info.message.startswith(info.param or "")
    return info.param, info.code, info.message


def test_minimal_request_has_the_defaults() -> None:
    ask = read()
    assert (ask.model, ask.stream, ask.strict) == ("large", False, False)
    assert write_messages(ask.call.messages) == [USER]
    assert ask.call.parameters == {"max_tokens": 2000}
    assert ask.call.foreign == {}


def test_null_counts_as_absent() -> None:
    nothing = dict.fromkeys(
        [
            "stream",
            "system",
            "temperature",
            "tools",
            "tool_choice",
            "thinking",
            "metadata",
            "stop_sequences",
            "service_tier",
            "output_config",
            "container",
            "cache_control",
        ]
    )
    assert read(**nothing) == read()


def test_answer_options_are_read() -> None:
    ask = read(stream=True, strict=True)
    assert (ask.stream, ask.strict) == (True, True)


def test_parameters_get_their_chat_names() -> None:
    asked = {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u-1"},
        "service_tier": "standard_only",
        "something_new": [1],
    }
    assert parameters(**asked) == {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "stop": ["END"],
        "user": "u-1",
        "service_tier": "default",
        "something_new": [1],
    }
    assert parameters(service_tier="auto", metadata={}) == {}


def test_user_id_too_long_for_a_chat_stays_in_metadata() -> None:
    ask = read(metadata={"user_id": "u" * 65})
    assert ask.call.parameters["metadata"] == {"user_id": "u" * 65}
    assert "user" not in ask.call.parameters
    assert ask.call.foreign == {"metadata": ()}


def test_system_prompt_is_the_first_message() -> None:
    assert chat(USER, system="Be kind.") == [{"role": "system", "content": "Be kind."}, USER]
    blocks = [{"type": "text", "text": "Be kind."}, {"type": "text", "text": "Be brief.", **CACHED}]
    assert chat(USER, system=blocks) == [{"role": "system", "content": blocks}, USER]
    assert chat(USER, system="") == chat(USER, system=[]) == [USER]


def test_single_text_becomes_a_string() -> None:
    lone = {"role": "user", "content": [{"type": "text", "text": "Hi"}]}
    assert chat(lone) == [USER]


def test_system_messages_may_be_between_the_turns() -> None:
    between = {"role": "system", "content": [{"type": "text", "text": "Now in French."}]}
    assert chat(USER, between) == [USER, {"role": "system", "content": "Now in French."}]


def test_text_and_images_are_converted() -> None:
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": PNG},
            **CACHED,
        },
    ]
    assert chat({"role": "user", "content": content}) == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
                {
                    "type": "image_url",
                    "image_url": {"url": f"data:image/png;base64,{PNG}"},
                    **CACHED,
                },
            ],
        }
    ]


def test_calls_and_results_are_converted() -> None:
    failed = {
        "type": "tool_result",
        "tool_use_id": "toolu_2",
        "is_error": True,
        "content": [{"type": "text", "text": "No."}, {"type": "text", "text": "Never."}],
    }
    picture = {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}}
    assert chat(
        USER,
        {"role": "assistant", "content": [{"type": "text", "text": "Well."}, CALL]},
        {"role": "user", "content": [{"type": "text", "text": "So?"}, RESULT, failed]},
        {"role": "assistant", "content": [CALL | {"caller": {"type": "direct"}}]},
        {"role": "user", "content": [RESULT | {"content": [picture], "is_error": False}]},
        {"role": "assistant", "content": [CALL]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1"}]},
    ) == [
        USER,
        {"role": "assistant", "content": "Well.", "tool_calls": [TOOL_CALL]},
        {"role": "tool", "tool_call_id": "toolu_1", "content": "Rain."},
        {
            "role": "tool",
            "tool_call_id": "toolu_2",
            "content": failed["content"],
            "is_error": True,
        },
        {"role": "user", "content": "So?"},
        {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]},
        {
            "role": "tool",
            "tool_call_id": "toolu_1",
            "content": [{"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}],
        },
        {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]},
        {"role": "tool", "tool_call_id": "toolu_1", "content": ""},
    ]


TOOL_CALL = {
    "id": "toolu_1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city":"Bonn"}'},
}


def test_plain_thinking_becomes_reasoning_and_signed_thinking_stays() -> None:
    unsigned = {"type": "thinking", "thinking": "Hm.", "signature": ""}
    more = {"type": "thinking", "thinking": "Aha."}
    signed = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    redacted = {"type": "redacted_thinking", "data": "ZGF0YQ=="}
    text = {"type": "text", "text": "Well."}
    ask = read(messages=[USER, {"role": "assistant", "content": [unsigned, more, text]}])
    assert write_messages(ask.call.messages)[1] == {
        "role": "assistant",
        "content": "Well.",
        "reasoning_content": "Hm.\n\nAha.",
    }
    ask = read(messages=[USER, {"role": "assistant", "content": [signed, redacted, text]}])
    assert write_messages(ask.call.messages)[1] == {
        "role": "assistant",
        "content": "Well.",
        "thinking_blocks": [signed, redacted],
    }
    assert ask.call.foreign == {}


class ComparisonCounter(dict[str, object]):
    """A block that counts comparisons of all such blocks."""

    times = 0

    def __eq__(self, other: object) -> bool:
        ComparisonCounter.times += 1
        return super().__eq__(other)

    __hash__ = None


def test_thinking_blocks_are_separated_in_one_pass() -> None:
    thoughts = [
        ComparisonCounter(type="thinking", thinking=f"t{number}", signature="s" * (number % 2))
        for number in range(MAX_PARTS)
    ]
    ComparisonCounter.times = 0
    (message,) = chat({"role": "assistant", "content": thoughts})
    assert message["reasoning_content"] == "\n\n".join(f"t{n}" for n in range(0, MAX_PARTS, 2))
    assert ComparisonCounter.times <= MAX_PARTS
    assert message["thinking_blocks"] == thoughts[1::2]


def test_tools_and_tool_choice_are_converted() -> None:
    tools = [
        WEATHER | CACHED | {"type": "custom"},
        {"name": "f", "input_schema": {}, "strict": True, "input_examples": [{}]},
        {"type": "bash_20250124", "name": "bash"},
    ]
    found = parameters(tools=tools, tool_choice={"type": "any"})
    assert found == {
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "weather",
                    "description": "Tells it.",
                    "parameters": WEATHER["input_schema"],
                },
                **CACHED,
            },
            {
                "type": "function",
                "function": {"name": "f", "parameters": {}, "strict": True},
                "input_examples": [{}],
            },
            {"type": "bash_20250124", "name": "bash"},
        ],
        "tool_choice": "required",
    }


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        (
            {"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
            {
                "tool_choice": {"type": "function", "function": {"name": "weather"}},
                "parallel_tool_calls": False,
            },
        ),
        ({"type": "auto", "disable_parallel_tool_use": False}, {"tool_choice": "auto"}),
    ],
)
def test_tool_choice_is_converted(choice: object, expected: dict[str, object]) -> None:
    found = parameters(tools=[WEATHER], tool_choice=choice)
    assert {name: found[name] for name in found if name != "tools"} == expected


@pytest.mark.parametrize(
    ("thinking", "config", "effort"),
    [
        ({"type": "disabled"}, None, "none"),
        ({"type": "disabled"}, {"effort": "high"}, "none"),
        ({"type": "enabled", "budget_tokens": 1024}, None, "low"),
        ({"type": "enabled", "budget_tokens": 8192}, None, "medium"),
        ({"type": "enabled", "budget_tokens": 100_000}, None, "high"),
        ({"type": "adaptive"}, None, "medium"),
        ({"type": "adaptive", "display": "summarized"}, {"effort": "max"}, "xhigh"),
        ({"type": "between_tools"}, None, None),
        (None, {"effort": "low"}, "low"),
        (None, {}, None),
    ],
)
def test_thinking_becomes_reasoning_effort(
    thinking: object, config: object, effort: str | None
) -> None:
    found = parameters(thinking=thinking, output_config=config)
    assert found.get("reasoning_effort") == effort
    assert found.get("thinking") == thinking
    assert found.get("output_config") == config


def test_output_format_becomes_response_format() -> None:
    wanted = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    assert parameters(output_config=wanted)["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": {"type": "object"}},
    }


def test_max_tokens_is_optional_only_for_the_count() -> None:
    least: dict[str, object] = {"model": "large", "messages": [USER]}
    assert read_count_request(least).call.parameters == {}
    with pytest.raises(ApiError, match="max_tokens: field required"):
        read_messages_request(least)


def asked(*blocks: object, role: str = "user") -> dict[str, object]:
    return {"messages": [USER, {"role": role, "content": list(blocks)}]}


def image_block(**source: object) -> dict[str, object]:
    return asked({"type": "image", "source": source})


BAD_PDF = {"type": "base64", "media_type": "application/pdf", "data": "?"}
WRONG: list[tuple[dict[str, object], str, str]] = [
    ({"model": None}, "model", "invalid_value"),
    ({"model": ""}, "model", "invalid_value"),
    ({"model": "x" * 513}, "model", "invalid_value"),
    ({"max_tokens": 0}, "max_tokens", "invalid_value"),
    ({"max_tokens": "10"}, "max_tokens", "invalid_value"),
    ({"messages": []}, "messages", "invalid_value"),
    ({"messages": "Hi"}, "messages", "invalid_value"),
    ({"messages": ["Hi"]}, "messages[0]", "invalid_value"),
    ({"messages": [{"content": "Hi"}]}, "messages[0].role", "missing_required_parameter"),
    ({"messages": [{"role": "tool", "content": "a"}]}, "messages[0].role", "invalid_value"),
    ({"messages": [{"role": ["user"], "content": "a"}]}, "messages[0].role", "invalid_value"),
    ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
    ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content", "invalid_value"),
    ({"messages": [USER | {"name": "x"}]}, "messages[0].name", "invalid_value"),
    (asked(), "messages[1].content", "invalid_value"),
    (asked("Hi"), "messages[1].content[0]", "invalid_value"),
    (asked({}), "messages[1].content[0].type", "unsupported_content_type"),
    (asked({"type": []}), "messages[1].content[0].type", "unsupported_content_type"),
    (asked({"type": "hologram"}), "messages[1].content[0].type", "unsupported_content_type"),
    (asked({"type": "document"}), "messages[1].content[0].source", "missing_required_parameter"),
    (
        asked({"type": "document", "source": {"type": "magic"}}),
        "messages[1].content[0].source.type",
        "invalid_value",
    ),
    (
        asked({"type": "document", "source": BAD_PDF}),
        "messages[1].content[0].source.data",
        "invalid_value",
    ),
    (
        asked({"type": "document", "source": {"type": "text"}}),
        "messages[1].content[0].source.data",
        "missing_required_parameter",
    ),
    (
        asked({"type": "search_result", "title": "t", "content": []}),
        "messages[1].content[0].source",
        "missing_required_parameter",
    ),
    (
        asked({"type": "tool_reference"}),
        "messages[1].content[0].tool_name",
        "missing_required_parameter",
    ),
    (asked(CALL), "messages[1].content[0].type", "unsupported_content_type"),
    (asked({"type": "text"}), "messages[1].content[0].text", "missing_required_parameter"),
    (asked({"type": "text", "text": 1}), "messages[1].content[0].text", "invalid_value"),
    (
        asked({"type": "text", "text": "a", "tool_calls": []}),
        "messages[1].content[0].tool_calls",
        "invalid_value",
    ),
    (
        asked(*[{"type": "text", "text": "a"}] * (MAX_PARTS + 1)),
        "messages[1].content",
        "invalid_value",
    ),
    (asked({"type": "image"}), "messages[1].content[0].source", "missing_required_parameter"),
    (
        image_block(type="magic", file_id="x"),
        "messages[1].content[0].source.type",
        "invalid_image_url",
    ),
    (image_block(type="url"), "messages[1].content[0].source.url", "missing_required_parameter"),
    (
        image_block(type="url", url="ftp://x"),
        "messages[1].content[0].source.url",
        "invalid_image_url",
    ),
    (
        image_block(type="url", url="http://x/" + "a" * 9000),
        "messages[1].content[0].source.url",
        "invalid_image_url",
    ),
    (
        image_block(type="base64", media_type="text/plain", data=PNG),
        "messages[1].content[0].source.media_type",
        "invalid_image_url",
    ),
    (
        image_block(type="base64", media_type="image/png", data="no base64"),
        "messages[1].content[0].source.data",
        "invalid_image_url",
    ),
    (
        asked({"type": "image", "source": {"type": "url", "url": "http://x"}}, role="assistant"),
        "messages[1].content[0].type",
        "unsupported_content_type",
    ),
    (asked(RESULT, role="assistant"), "messages[1].content[0].type", "unsupported_content_type"),
    (
        asked(CALL | {"input": None}, role="assistant"),
        "messages[1].content[0].input",
        "missing_required_parameter",
    ),
    (
        asked(CALL | {"input": "x"}, role="assistant"),
        "messages[1].content[0].input",
        "invalid_value",
    ),
    (asked(CALL | {"id": [1]}, role="assistant"), "messages[1].content[0].id", "invalid_value"),
    (
        asked(CALL | {"name": None}, role="assistant"),
        "messages[1].content[0].name",
        "missing_required_parameter",
    ),
    (
        asked(CALL | {"caller": "code"}, role="assistant"),
        "messages[1].content[0].caller",
        "invalid_value",
    ),
    (
        asked(CALL | {"unknown": "x"}, role="assistant"),
        "messages[1].content[0].unknown",
        "invalid_value",
    ),
    (
        asked({"type": "thinking"}, role="assistant"),
        "messages[1].content[0].thinking",
        "missing_required_parameter",
    ),
    (
        asked({"type": "thinking", "thinking": "a", "signature": 1}, role="assistant"),
        "messages[1].content[0].signature",
        "invalid_value",
    ),
    (
        asked({"type": "redacted_thinking"}, role="assistant"),
        "messages[1].content[0].data",
        "missing_required_parameter",
    ),
    (
        asked(RESULT | {"tool_use_id": {}}),
        "messages[1].content[0].tool_use_id",
        "invalid_value",
    ),
    (asked(RESULT | {"is_error": "yes"}), "messages[1].content[0].is_error", "invalid_value"),
    (asked(RESULT | {"content": 1}), "messages[1].content[0].content", "invalid_value"),
    (
        asked(RESULT | {"content": [RESULT]}),
        "messages[1].content[0].content[0].type",
        "unsupported_content_type",
    ),
    ({"system": 1}, "system", "invalid_value"),
    ({"system": [{"type": "image"}]}, "system[0].type", "unsupported_content_type"),
    ({"temperature": 1.5}, "temperature", "invalid_value"),
    ({"top_p": -1}, "top_p", "invalid_value"),
    ({"top_k": 0.5}, "top_k", "invalid_value"),
    ({"stop_sequences": "END"}, "stop_sequences", "invalid_value"),
    ({"stop_sequences": ["a", 1]}, "stop_sequences[1]", "invalid_value"),
    ({"metadata": {"user": "x"}}, "metadata.user", "invalid_value"),
    ({"metadata": {"user_id": 1}}, "metadata.user_id", "invalid_value"),
    ({"service_tier": "flex"}, "service_tier", "invalid_value"),
    ({"stream": "yes"}, "stream", "invalid_value"),
    ({"thinking": True}, "thinking", "invalid_value"),
    ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens", "missing_required_parameter"),
    (
        {"thinking": {"type": "enabled", "budget_tokens": 5}},
        "thinking.budget_tokens",
        "invalid_value",
    ),
    ({"output_config": {"effort": "much"}}, "output_config.effort", "invalid_value"),
    ({"output_config": {"format": {"type": "xml"}}}, "output_config.format", "invalid_value"),
    ({"tools": {}}, "tools", "invalid_value"),
    ({"tools": ["f"]}, "tools[0]", "invalid_value"),
    ({"tools": [{}]}, "tools[0].name", "missing_required_parameter"),
    ({"tools": [WEATHER | {"name": ""}]}, "tools[0].name", "invalid_value"),
    ({"tools": [{"name": "f"}]}, "tools[0].input_schema", "missing_required_parameter"),
    ({"tools": [{"name": "f", "input_schema": 1}]}, "tools[0].input_schema", "invalid_value"),
    ({"tools": [WEATHER | {"description": 1}]}, "tools[0].description", "invalid_value"),
    ({"tools": [WEATHER | {"strict": 3}]}, "tools[0].strict", "invalid_value"),
    ({"tools": [WEATHER | {"function": {}}]}, "tools[0].function", "invalid_value"),
    (
        {"tools": [{"type": "hologram", "name": "x"}]},
        "tools[0].type",
        "unsupported_tool",
    ),
    ({"tools": [{"type": ["a"], "name": "x"}]}, "tools[0].type", "unsupported_tool"),
    ({"tool_choice": "auto"}, "tool_choice", "invalid_value"),
    ({"tool_choice": {"type": "some"}}, "tool_choice.type", "invalid_value"),
    ({"tool_choice": {"type": "tool"}}, "tool_choice.name", "missing_required_parameter"),
    (
        {"tool_choice": {"type": "auto", "disable_parallel_tool_use": "no"}},
        "tool_choice.disable_parallel_tool_use",
        "invalid_value",
    ),
]


@pytest.mark.parametrize(("changes", "param", "code"), WRONG, ids=lambda value: str(value)[:60])
def test_invalid_field_is_named_with_its_path(
    changes: dict[str, object], param: str, code: str
) -> None:
    assert refusal(**changes)[:2] == (param, code)


def test_number_of_messages_is_limited() -> None:
    param, _, message = refusal(messages=[USER] * (MAX_MESSAGES + 1))
    assert param == "messages"
    assert str(MAX_MESSAGES) in message


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "text",
                    "role",
                    "content",
                    "source",
                    "id",
                    "name",
                    "input",
                    "x",
                    "thinking",
                    "signature",
                    "tool_use_id",
                    "is_error",
                    "input_schema",
                    "url",
                ]
            ),
            inner
            | st.sampled_from(
                ["text", "image", "tool_use", "tool_result", "thinking", "user", "assistant"]
            ),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "messages",
                "system",
                "tools",
                "tool_choice",
                "thinking",
                "output_config",
                "metadata",
                "stop_sequences",
                "max_tokens",
                "container",
                "top_k",
                "y",
            ]
        ),
        json_values | st.lists(json_values, max_size=3),
        max_size=4,
    )
)
def test_any_fields_are_a_request_or_a_400(changes: dict[str, object]) -> None:
    try:
        ask = read(**changes)
    except ApiError:
        refusal(**changes)
        return
    for format in FORMATS.values():
        format.unsupported(ask.call)
        msgspec.json.decode(format.build(ask.call, None).body)


async def test_a_large_body_is_read_in_a_thread() -> None:
    large = json.dumps(body(messages=[USER] * 3000)).encode()
    ask = await read_json(large, read_messages_request, trio.CapacityLimiter(1))
    assert len(ask.call.messages) == 3000


FORMATS: dict[str, Format] = {
    "anthropic": ANTHROPIC,
    "openai-chat": OPENAI_CHAT,
    "openai-responses": OPENAI_RESPONSES,
    "gemini": GEMINI,
    "ollama": OLLAMA,
}


def call_of(**changes: object) -> ModelCall:
    return replace(read(**changes).call, upstream_model="claude-sonnet-4-5")


def sent_body(**changes: object) -> dict[str, Any]:
    """Return the body sent to Anthropic's API, after checking that nothing is left out."""
    call = call_of(**changes)
    assert ANTHROPIC.unsupported(call) == ()
    document = msgspec.json.decode(ANTHROPIC.build(call, None).body)
    assert document.pop("stream") is True
    assert document.pop("model") == "claude-sonnet-4-5"
    assert isinstance(document, dict)
    return document


def blocks(*found: object, role: str = "user") -> dict[str, object]:
    return {"role": role, "content": list(found)}


TEXT = {"type": "text", "text": "Hi"}
SIGNED = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
REDACTED = {"type": "redacted_thinking", "data": "ZGF0YQ=="}
SEARCH = {
    "type": "server_tool_use",
    "id": "srvtoolu_1",
    "name": "web_search",
    "input": {"query": "q"},
}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
CITED = TEXT | {"citations": [{"type": "web_search_result_location", "encrypted_index": "e"}]}
ROUND_TRIPS: list[dict[str, object]] = [
    {"messages": [blocks(TEXT)]},
    {"system": [TEXT | CACHED]},
    {"messages": [blocks(TEXT | CACHED)]},
    {
        "messages": [
            blocks(
                TEXT,
                {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}},
                {
                    "type": "image",
                    "source": {"type": "base64", "media_type": "image/png", "data": PNG},
                    **CACHED,
                },
            )
        ]
    },
    {
        "tools": [WEATHER | CACHED | {"strict": True, "input_examples": [{"city": "Bonn"}]}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        "messages": [
            blocks(TEXT),
            blocks(SIGNED, REDACTED, TEXT, CALL | CACHED, role="assistant"),
            blocks(
                RESULT | CACHED,
                RESULT | {"is_error": True, "content": [TEXT | {"text": "No."}, TEXT | CACHED]},
                TEXT,
            ),
        ],
    },
    {
        "thinking": {"type": "enabled", "budget_tokens": 1500, "display": "summarized"},
        "tools": [WEATHER],
        "messages": [
            blocks(TEXT),
            blocks(SIGNED, CALL, role="assistant"),
            blocks(RESULT),
        ],
    },
    {"thinking": {"type": "disabled"}},
    {"thinking": {"type": "adaptive"}},
    {"thinking": {"type": "between_tools"}},
    {"output_config": {"effort": "max"}},
    {
        "thinking": {"type": "adaptive"},
        "output_config": {
            "effort": "low",
            "format": {"type": "json_schema", "schema": {"type": "object"}},
        },
    },
    {"tools": [{"type": "bash_20250124", "name": "bash"}], "tool_choice": {"type": "auto"}},
    {"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "weather"}},
    {"tools": [WEATHER], "tool_choice": {"type": "none"}},
    {"stop_sequences": ["END"], "temperature": 0.5, "top_k": 5},
    {"metadata": {"user_id": "u-1"}},
    {"metadata": {"user_id": "u" * 150}},
    {"service_tier": "standard_only"},
    {"cache_control": {"type": "ephemeral"}, "inference_geo": "eu", "speed": "fast"},
    {"container": "c"},
    {"messages": [blocks(TEXT), blocks(TEXT, role="assistant")]},
    {"messages": [blocks(TEXT), blocks(SIGNED, SEARCH, FOUND, CITED, role="assistant")]},
    {
        "messages": [
            blocks(TEXT),
            blocks(TEXT, SIGNED, TEXT, REDACTED, CALL, role="assistant"),
            blocks(RESULT),
        ]
    },
]


@pytest.mark.parametrize("asked", ROUND_TRIPS, ids=lambda value: str(sorted(value)))
def test_request_survives_the_round_trip_to_the_same_api(asked: dict[str, object]) -> None:
    assert sent_body(**asked) == {"max_tokens": 2000, "messages": [blocks(TEXT)]} | asked


@pytest.mark.parametrize(
    ("asked", "left_out"),
    [
        (
            {
                "messages": [
                    blocks(TEXT),
                    blocks(SIGNED | {"signature": ""}, TEXT, role="assistant"),
                ]
            },
            ("messages[1].reasoning_content",),
        ),
        (
            {
                "thinking": {"type": "enabled", "budget_tokens": 1024},
                "messages": [blocks(TEXT), blocks(CALL, role="assistant"), blocks(RESULT)],
            },
            ("thinking",),
        ),
    ],
)
def test_fields_that_the_same_api_rejects_are_named(
    asked: dict[str, object], left_out: tuple[str, ...]
) -> None:
    call = call_of(**asked)
    assert ANTHROPIC.unsupported(call) == left_out
    sent = msgspec.json.decode(ANTHROPIC.build(call, None).body)
    assert "thinking" not in sent


@pytest.mark.parametrize("name", sorted(FORMATS.keys() - {"anthropic"}))
def test_fields_unknown_to_another_api_are_dropped_and_named(name: str) -> None:
    call = call_of(
        thinking={"type": "enabled", "budget_tokens": 9000},
        output_config={"effort": "low"},
        system=[TEXT | CACHED],
        tools=[WEATHER | CACHED],
        speed="fast",
        messages=[
            blocks(TEXT | CACHED),
            blocks(SIGNED, TEXT, CALL | CACHED, role="assistant"),
            blocks(RESULT | CACHED | {"is_error": True}),
        ],
    )
    format = FORMATS[name]
    assert format.unsupported(call) == (
        "messages[2].thinking_blocks",
        "speed",
        "tools[0].cache_control",
        "messages[0].content[0].cache_control",
        "messages[1].content[0].cache_control",
        "messages[2].tool_calls[0].cache_control",
        "messages[3].is_error",
        "messages[3].cache_control",
    )
    sent = format.build(call, None).body
    for word in (b"cache_control", b"is_error", b"thinking_blocks", b"budget_tokens", b"speed"):
        assert word not in sent


UNSIGNED = [blocks(TEXT), blocks(SIGNED | {"signature": ""}, TEXT, role="assistant"), USER]


@pytest.mark.parametrize(
    ("name", "supported"),
    [
        ("openai-chat", True),
        ("ollama", True),
        ("gemini", False),
        ("openai-responses", False),
    ],
)
def test_thinking_is_sent_or_named_as_dropped(name: str, supported: bool) -> None:
    call = call_of(messages=UNSIGNED)
    format = FORMATS[name]
    assert format.unsupported(call) == (() if supported else ("messages[1].reasoning_content",))
    assert (b"Hm." in format.build(call, None).body) is supported
