"""Tests that Responses requests are converted and that errors name the path of the field."""

import json

import msgspec
import pytest
import trio

from web.dialects.openai_responses.response import ResponseData, object_of
from web.http.api_error import ApiError
from web.http.json_body import read_json
from web.surfaces.responses.input.compaction_summary import seal
from web.surfaces.responses.input.items import MAX_ITEMS
from web.surfaces.responses.request import (
    ResponsesRequest,
    read_responses_request,
)

INVALID, MISSING = "invalid_value", "missing_required_parameter"
PART, KIND, URL = "invalid_content_part", "unsupported_content_type", "invalid_image_url"
UNAVAILABLE = "unsupported_parameter"

WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
CALL = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "Rain."}


def read(**changes: object) -> ResponsesRequest:
    return read_responses_request({"model": "large", "input": "Hi"} | changes)


def refusal(**changes: object) -> tuple[str | None, str | None]:
    with pytest.raises(ApiError) as caught:
        read(**changes)
    info = caught.value.info
    assert (info.status, info.type) == (400, "invalid_request_error")
    assert info.message.startswith(info.param or "")
    return info.param, info.code


def assert_shown(ask: ResponsesRequest, fields: dict[str, object]) -> None:
    """Check that the response object repeats these fields of the request."""
    data = ResponseData(turn_id="turn_1", model="large", created_at=0)
    response = object_of(data, {"echo": ask.echo})
    assert {name: response[name] for name in fields} == fields


def message_item(role: str, *parts: object) -> dict[str, object]:
    return {"type": "message", "role": role, "status": "completed", "content": list(parts)}


def input_text(text: str) -> dict[str, object]:
    return {"type": "input_text", "text": text}


def output_text(text: str) -> dict[str, object]:
    return {"type": "output_text", "text": text, "annotations": []}


def test_minimal_request_has_the_defaults() -> None:
    ask = read()
    assert ask.input == [message_item("user", input_text("Hi"))]
    assert (ask.model, ask.stream, ask.store, ask.truncate, ask.strict) == (
        "large",
        False,
        True,
        False,
        False,
    )
    assert (ask.parameters, ask.native) == ({}, {})
    assert ask.instructions is None
    assert not ask.past.given


def test_echo_of_a_minimal_request() -> None:
    """The rest are defaults of the response object (`test_response.py`)."""
    text = {"format": {"type": "text"}, "verbosity": "medium"}
    assert read().echo == {"tool_choice": "auto", "tools": [], "text": text}


def test_echo_of_a_request_with_all_fields() -> None:
    given: dict[str, object] = {
        "frequency_penalty": 0.5,
        "max_output_tokens": 50,
        "max_tool_calls": 3,
        "metadata": {"a": "b"},
        "parallel_tool_calls": False,
        "presence_penalty": -0.5,
        "prompt_cache_key": "k",
        "safety_identifier": "s",
        "store": False,
        "temperature": 0.5,
        "tool_choice": "required",
        "top_logprobs": 2,
        "top_p": 0.25,
        "truncation": "auto",
        "user": "u",
    }
    reasoning = {"effort": "low", "summary": "auto"}
    format = {"type": "json_schema", "name": "n", "schema": {"type": "object"}}
    text = {"format": format, "verbosity": "low"}
    ask = read(**given, tools=[WEATHER], reasoning=reasoning, text=text, service_tier="auto")
    assert_shown(
        ask,
        given
        | {
            "background": False,
            "reasoning": reasoning,
            "service_tier": "default",
            "text": text | {"format": format | {"description": None, "strict": False}},
            "tools": [WEATHER | {"description": None, "strict": False}],
        },
    )
    assert (ask.store, ask.truncate) == (False, True)


def test_parameters_get_their_chat_names() -> None:
    ask = read(
        max_output_tokens=50,
        temperature=1,
        top_p=0.5,
        frequency_penalty=0.25,
        presence_penalty=-0.25,
        reasoning={"effort": "high", "summary": "concise", "context": "auto"},
        user="u",
        safety_identifier="s",
        prompt_cache_key="k",
        top_logprobs=3,
        seed=7,
        stop=["x"],
        something_new={"a": None},
        metadata={"ours": "to keep"},
        service_tier="default",
    )
    assert ask.parameters == {
        "max_completion_tokens": 50,
        "temperature": 1,
        "top_p": 0.5,
        "frequency_penalty": 0.25,
        "presence_penalty": -0.25,
        "reasoning_effort": "high",
        "user": "u",
        "safety_identifier": "s",
        "prompt_cache_key": "k",
        "logprobs": True,
        "top_logprobs": 3,
        "seed": 7,
        "stop": ["x"],
        "something_new": {"a": None},
    }
    assert ask.native == {
        "reasoning": {"summary": "concise", "context": "auto"},
        "service_tier": "default",
    }


def test_include_can_request_logprobs() -> None:
    assert read(include=["message.output_text.logprobs"]).parameters == {"logprobs": True}


def test_parameters_that_only_this_api_has_are_kept_as_they_are() -> None:
    include = ["reasoning.encrypted_content", "message.output_text.logprobs", "next_month"]
    ask = read(include=include, max_tool_calls=3, tools=[{"type": "web_search"}])
    assert ask.parameters == {"logprobs": True}
    assert ask.native == {
        "tools": [{"type": "web_search"}],
        "include": ["reasoning.encrypted_content", "next_month"],
        "max_tool_calls": 3,
    }


@pytest.mark.parametrize("tier", ["flex", "priority", "scale", "of the future"])
def test_any_service_tier_is_passed_on(tier: str) -> None:
    ask = read(service_tier=tier)
    assert (ask.parameters, ask.native) == ({"service_tier": tier}, {"service_tier": tier})
    assert ask.echo["service_tier"] == tier


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, {"type": "json_object"}),
        (
            {"type": "json_schema", "name": "n", "schema": {"a": 1}, "strict": True},
            {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": {"a": 1}, "strict": True},
            },
        ),
    ],
)
def test_text_formats_are_converted(format: object, expected: object) -> None:
    assert read(text={"format": format}).parameters.get("response_format") == expected


def test_verbosity_is_passed_on() -> None:
    assert read(text={"verbosity": "high"}).parameters == {"verbosity": "high"}


def test_messages_of_both_apis_are_read() -> None:
    ask = read(
        input=[
            {"role": "developer", "content": "Be kind."},
            {"type": "message", "role": "user", "content": [input_text("Hi"), "there"]},
            {"role": "assistant", "content": "Hello"},
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "incomplete",
                "content": [
                    output_text("A") | {"logprobs": []},
                    {"type": "refusal", "refusal": "No"},
                ],
            },
        ]
    )
    assert ask.input == [
        message_item("developer", input_text("Be kind.")),
        message_item("user", input_text("Hi"), input_text("there")),
        message_item("assistant", output_text("Hello")),
        message_item("assistant", output_text("A"), {"type": "refusal", "refusal": "No"})
        | {"id": "msg_1", "status": "incomplete"},
    ]


@pytest.mark.parametrize("url", ["https://example.org/a.png", "data:image/png;base64,AAAA"])
def test_images_are_read(url: str) -> None:
    image = {"type": "input_image", "image_url": url}
    ask = read(input=[{"role": "user", "content": [image, image | {"detail": "low"}]}])
    expected = message_item("user", image | {"detail": "auto"}, image | {"detail": "low"})
    assert ask.input == [expected]


def test_calls_outputs_and_reasoning_are_read() -> None:
    thought = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "Hm."}],
        "content": [{"type": "reasoning_text", "text": "Hmm."}],
        "encrypted_content": "x",
    }
    parts = OUTPUT | {
        "output": [input_text("Rain."), {"type": "input_image", "image_url": "http://a"}]
    }
    ask = read(input=[thought, CALL | {"id": "fc_1"}, OUTPUT, CALL, parts])
    image = {"type": "input_image", "image_url": "http://a", "detail": "auto"}
    done = {"status": "completed"}
    assert ask.input == [
        thought,
        CALL | done | {"id": "fc_1"},
        OUTPUT | done,
        CALL | done,
        parts | done | {"output": [input_text("Rain."), image]},
    ]


@pytest.mark.parametrize("arguments", ["", " ", "null"])
def test_blank_arguments_are_an_empty_object(arguments: str) -> None:
    assert read(input=[CALL | {"arguments": arguments}]).input == read(input=[CALL]).input


def test_references_and_compactions_are_read() -> None:
    items = [
        {"type": "item_reference", "id": "msg_1"},
        {"id": "msg_2"},
        {"type": "compaction", "id": "cmp_1", "encrypted_content": seal("All was said.")},
    ]
    ask = read(input=items, previous_response_id="resp_1")
    assert ask.input == [items[0], {"type": "item_reference", "id": "msg_2"}, items[2]]
    assert msgspec.json.decode(ask.stored_input) == [items[2]]


def test_conversation_history_may_be_chat_messages() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    history: list[dict[str, object]] = [
        {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
        {"role": "assistant", "content": "", "reasoning_content": "Hm.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "Rain."},
        {"role": "assistant", "content": "It rains.", "refusal": "No more."},
        {"type": "message", "role": "user", "content": "Thanks."},
    ]
    ask = read(conversation_history=history, previous_response_id="resp_1")
    items = [
        message_item("user", input_text("Weather?")),
        {
            "type": "reasoning",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "Hm."}],
        },
        message_item("assistant", output_text("")),
        CALL | {"status": "completed"},
        OUTPUT | {"status": "completed"},
        message_item(
            "assistant", output_text("It rains."), {"type": "refusal", "refusal": "No more."}
        ),
        message_item("user", input_text("Thanks.")),
    ]
    assert ask.past.items == items
    assert msgspec.json.decode(ask.stored_input) == [*items, message_item("user", input_text("Hi"))]


@pytest.mark.parametrize("given", ["a name", {"id": "a name"}])
def test_conversation_is_a_name_or_an_object(given: object) -> None:
    assert read(conversation=given).past.conversation == "a name"


@pytest.mark.parametrize("past", ["previous_response_id", "conversation"])
def test_input_is_optional_with_a_history(past: str) -> None:
    assert read(input=None, **{past: "resp_1"}).input == []


def test_null_counts_as_absent() -> None:
    nothing = dict.fromkeys(
        (
            *("instructions", "stream", "stream_options", "store", "strict", "background"),
            *("previous_response_id", "conversation", "conversation_history", "tools"),
            *("tool_choice", "text", "reasoning", "include", "truncation", "metadata", "user"),
            *("service_tier", "prompt", "context_management", "moderation", "max_tool_calls"),
            *("top_logprobs", "temperature", "top_p", "max_output_tokens"),
        )
    )
    assert read(**nothing) == read()


def item(**fields: object) -> dict[str, object]:
    return {"input": [{"role": "user", "content": "Hi"}, fields]}


def part(*parts: object) -> dict[str, object]:
    return item(role="user", content=[input_text("a"), *parts])


def past(*messages: object) -> dict[str, object]:
    return {"conversation_history": list(messages)}


BAD: list[tuple[dict[str, object], str, str]] = [
    ({"model": None}, "model", INVALID),
    ({"model": ""}, "model", INVALID),
    ({"input": None}, "input", MISSING),
    ({"input": 5}, "input", INVALID),
    ({"input": {}}, "input", INVALID),
    ({"input": ["Hi"]}, "input[0]", INVALID),
    ({"input": [{"role": "user", "content": "Hi"}] * (MAX_ITEMS + 1)}, "input", INVALID),
    (item(), "input[1].role", MISSING),
    (item(type=["message"]), "input[1].type", INVALID),
    (item(type=""), "input[1].type", INVALID),
    (item(type="custom_tool_call", call_id="c", name="n"), "input[1].input", MISSING),
    (item(type="custom_tool_call_output", call_id="c"), "input[1].output", MISSING),
    (item(role="king", content="Hi"), "input[1].role", INVALID),
    (item(role="tool", content="Hi"), "input[1].role", INVALID),
    (item(role="user"), "input[1].content", MISSING),
    (item(role="user", content=5), "input[1].content", PART),
    (item(role="user", content="Hi", id=5), "input[1].id", INVALID),
    (item(role="user", content="Hi", status="done"), "input[1].status", INVALID),
    (part(5), "input[1].content[1]", PART),
    (part({"type": "hologram"}), "input[1].content[1].type", KIND),
    (part({"type": "input_file"}), "input[1].content[1].file_data", MISSING),
    (part({"type": "input_file", "file_url": "x"}), "input[1].content[1].file_url", URL),
    (part({"type": "input_text"}), "input[1].content[1].text", MISSING),
    (part({"type": "input_image", "file_id": 5}), "input[1].content[1].file_id", PART),
    (part({"type": "input_image", "image_url": "x"}), "input[1].content[1].image_url", URL),
    (
        item(role="assistant", content=[{"type": "input_image", "image_url": "http://a"}]),
        "input[1].content",
        PART,
    ),
    (item(type="function_call", name="f", arguments=""), "input[1].call_id", MISSING),
    (item(type="function_call", call_id="c", arguments=""), "input[1].name", MISSING),
    (item(type="function_call", call_id="c", name="f"), "input[1].arguments", MISSING),
    (item(**CALL | {"arguments": {}}), "input[1].arguments", INVALID),
    (item(**CALL | {"call_id": "c" * 20_000}), "input[1].call_id", INVALID),
    (item(type="function_call_output", call_id="c"), "input[1].output", MISSING),
    (item(type="function_call_output", output="x"), "input[1].call_id", MISSING),
    (item(**OUTPUT | {"output": 5}), "input[1].output", PART),
    (item(**OUTPUT | {"output": [{"type": "x"}]}), "input[1].output[0].type", KIND),
    (item(type="reasoning", summary="x"), "input[1].summary", INVALID),
    (item(type="reasoning", summary=[{"type": "x"}]), "input[1].summary[0].type", INVALID),
    (
        item(type="reasoning", summary=[], content=[{"type": "reasoning_text"}]),
        "input[1].content[0].text",
        MISSING,
    ),
    (item(type="item_reference"), "input[1].id", MISSING),
    (item(type="compaction", encrypted_content=5), "input[1].encrypted_content", INVALID),
    (
        item(type="compaction", encrypted_content="trouper1.\u00fc"),
        "input[1].encrypted_content",
        INVALID,
    ),
    (past("Hi"), "conversation_history[0]", INVALID),
    ({"conversation_history": "Hi"}, "conversation_history", INVALID),
    (past({"role": "tool", "content": "x"}), "conversation_history[0].tool_call_id", MISSING),
    (past({"role": "tool", "tool_call_id": "c"}), "conversation_history[0].content", MISSING),
    (past({"role": "assistant"}), "conversation_history[0].content", MISSING),
    (
        past({"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f"}}]}),
        "conversation_history[0].tool_calls[0].function.arguments",
        MISSING,
    ),
    (past({"role": "assistant", "tool_calls": 5}), "conversation_history[0].tool_calls", INVALID),
    (past({"type": "item_reference", "id": "x"}), "conversation_history[0]", "item_not_found"),
    ({"conversation": 5}, "conversation", INVALID),
    ({"conversation": {}}, "conversation.id", MISSING),
    ({"conversation": ""}, "conversation", INVALID),
    ({"previous_response_id": 5}, "previous_response_id", INVALID),
    ({"temperature": 3}, "temperature", INVALID),
    ({"temperature": "hot"}, "temperature", INVALID),
    ({"top_p": -1}, "top_p", INVALID),
    ({"top_logprobs": 21}, "top_logprobs", INVALID),
    ({"max_output_tokens": 0}, "max_output_tokens", INVALID),
    ({"max_tool_calls": -1}, "max_tool_calls", INVALID),
    ({"instructions": ["a"]}, "instructions", INVALID),
    ({"stream": "yes"}, "stream", INVALID),
    ({"stream_options": {"include_obfuscation": 1}}, "stream_options.include_obfuscation", INVALID),
    ({"store": 1}, "store", INVALID),
    ({"truncation": "some"}, "truncation", INVALID),
    ({"metadata": {"a": 1}}, "metadata.a", INVALID),
    ({"metadata": {"a": "b" * 513}}, "metadata.a", INVALID),
    ({"metadata": {str(n): "" for n in range(17)}}, "metadata", INVALID),
    ({"include": ["a"] * 101}, "include", INVALID),
    ({"reasoning": {"summary": "long"}}, "reasoning.summary", INVALID),
    ({"reasoning": "high"}, "reasoning", INVALID),
    ({"text": {"format": "json"}}, "text.format", INVALID),
    ({"text": {"format": {}}}, "text.format.type", MISSING),
    ({"text": {"format": {"type": "xml"}}}, "text.format.type", INVALID),
    ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema", MISSING),
    (
        {"text": {"format": {"type": "json_schema", "name": 5, "schema": {}}}},
        "text.format.name",
        INVALID,
    ),
    ({"text": {"verbosity": "chatty"}}, "text.verbosity", INVALID),
    ({"reasoning": {"effort": "banana"}}, "reasoning.effort", INVALID),
    (
        {
            "input": [
                {"role": "user", "content": "a", "id": "msg_a"},
                {"role": "user", "content": "b"},
                {"role": "user", "content": "c", "id": "msg_a"},
            ]
        },
        "input[2].id",
        "duplicate_item",
    ),
    ({"tools": {}}, "tools", INVALID),
    ({"tools": [5]}, "tools[0]", INVALID),
    ({"tools": [{}]}, "tools[0].type", MISSING),
    ({"tools": [{"type": 5}]}, "tools[0].type", INVALID),
    ({"tools": [{"type": "custom"}]}, "tools[0].name", MISSING),
    ({"tools": [{"type": "namespace", "tools": []}]}, "tools[0].name", MISSING),
    (
        {"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "function"}]}]},
        "tools[0].tools[0].name",
        MISSING,
    ),
    (item(type="additional_tools", tools=[{"type": ""}]), "input[1].tools[0].type", INVALID),
    ({"tools": [{"type": "function"}]}, "tools[0].name", MISSING),
    ({"tools": [WEATHER | {"name": ""}]}, "tools[0].name", INVALID),
    ({"tools": [WEATHER | {"parameters": "x"}]}, "tools[0].parameters", INVALID),
    ({"tools": [WEATHER | {"strict": "x"}]}, "tools[0].strict", INVALID),
    ({"tool_choice": "required"}, "tool_choice", INVALID),
    ({"tool_choice": "weather", "tools": [WEATHER]}, "tool_choice", INVALID),
    ({"tool_choice": {}, "tools": [WEATHER]}, "tool_choice.type", MISSING),
    (
        {"tool_choice": {"type": "function", "name": "g"}, "tools": [WEATHER]},
        "tool_choice.name",
        INVALID,
    ),
    (
        {"tool_choice": {"type": "allowed_tools", "mode": "x", "tools": []}, "tools": [WEATHER]},
        "tool_choice.mode",
        INVALID,
    ),
    ({"background": True}, "background", UNAVAILABLE),
    ({"prompt": {"id": "p"}}, "prompt", UNAVAILABLE),
    ({"context_management": [{"type": "compaction"}]}, "context_management", UNAVAILABLE),
    ({"moderation": {"model": "m"}}, "moderation", UNAVAILABLE),
]


@pytest.mark.parametrize(("changes", "param", "code"), BAD, ids=lambda value: str(value)[:60])
def test_invalid_field_is_named_with_its_path(
    changes: dict[str, object], param: str, code: str
) -> None:
    assert refusal(**changes) == (param, code)


def test_previous_response_and_conversation_exclude_each_other() -> None:
    with pytest.raises(ApiError) as caught:
        read(previous_response_id="resp_1", conversation="c")
    assert caught.value.info.status == 400
    assert caught.value.info.code == "mutually_exclusive_parameters"


async def test_large_request_is_read_like_a_small_one() -> None:
    items = [{"role": "user", "content": f"{number} " * 50} for number in range(1_000)]
    body: dict[str, object] = {"model": "large", "input": items}
    threads = trio.CapacityLimiter(1)
    found = await read_json(json.dumps(body).encode(), read_responses_request, threads)
    assert found == read_responses_request(body)
    broken = body | {"input": [*items, {"role": "user", "content": 5}]}
    with pytest.raises(ApiError) as caught:
        await read_json(json.dumps(broken).encode(), read_responses_request, threads)
    assert caught.value.info.param == "input[1000].content"
