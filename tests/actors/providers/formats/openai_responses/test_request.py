"""Tests of Responses requests: translation of calls, and reports of unsupported parts."""

from collections.abc import Mapping
from typing import cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses.response_create_params import ResponseCreateParamsStreaming
from pydantic import TypeAdapter

from actors.providers.formats.openai_responses.decoder import OPENAI_RESPONSES
from actors.turn.chat_messages import read_messages
from actors.turn.messages import sealed
from actors.turn.model_call import ModelCall

Object = dict[str, object]

PARAMS: TypeAdapter[ResponseCreateParamsStreaming] = TypeAdapter(ResponseCreateParamsStreaming)
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def call(*messages: Object, **parameters: object) -> ModelCall:
    return ModelCall(
        upstream_model="gpt", messages=read_messages(list(messages)), parameters=parameters
    )


def body_of(*messages: Object, **parameters: object) -> Object:
    parts = OPENAI_RESPONSES.build(call(*messages, **parameters), None)
    return msgspec.json.decode(parts.body, type=dict[str, object])


def translated(**parameters: object) -> Object:
    """Return the fields that the parameters become, after checking that none is left out."""
    assert left_out(**parameters) == ()
    plain = body_of()
    return {key: value for key, value in body_of(**parameters).items() if key not in plain}


def left_out(*messages: Object, **parameters: object) -> tuple[str, ...]:
    return OPENAI_RESPONSES.unsupported(call(*messages, **parameters))


def items(*messages: Object) -> object:
    """Return the items that the messages become, after checking that nothing is left out."""
    assert left_out(*messages) == ()
    return body_of(*messages)["input"]


def test_a_request() -> None:
    parts = OPENAI_RESPONSES.build(call({"role": "user", "content": "Hi"}, temperature=0), "sk-1")
    assert parts.path == "/responses"
    assert dict(parts.headers) == {
        "content-type": "application/json",
        "accept": "text/event-stream, application/json",
        "authorization": "Bearer sk-1",
    }
    assert msgspec.json.decode(parts.body) == {
        "model": "gpt",
        "store": False,
        "stream": True,
        "input": [{"role": "user", "content": "Hi"}],
        "temperature": 0,
    }
    assert "authorization" not in dict(OPENAI_RESPONSES.build(call(), None).headers)


def test_messages_become_items() -> None:
    png = "data:image/png;base64,AA=="
    assert items(
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is it?", "prompt_cache_breakpoint": {"mode": "x"}},
                {"type": "image_url", "image_url": {"url": png}},
                {"type": "image_url", "image_url": {"url": "https://x.example/a", "detail": "low"}},
                {"type": "file", "file": {"file_id": "file-1"}},
            ],
        },
        {"role": "assistant", "content": "Let me see."},
    ) == [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "input_text", "text": "Be kind."}]},
        {
            "role": "user",
            "content": [
                {
                    "type": "input_text",
                    "text": "What is it?",
                    "prompt_cache_breakpoint": {"mode": "x"},
                },
                {"type": "input_image", "detail": "auto", "image_url": png},
                {"type": "input_image", "detail": "low", "image_url": "https://x.example/a"},
                {"type": "input_file", "file_id": "file-1"},
            ],
        },
        {"role": "assistant", "content": "Let me see."},
    ]


def test_tool_calls_and_results_become_separate_items() -> None:
    other = {"id": "c2", "type": "custom", "custom": {"name": "g", "input": "x"}}
    picture = {"type": "image_url", "image_url": {"url": "https://x.example/a"}}
    assert items(
        {"role": "assistant", "content": "One moment.", "tool_calls": [CALL, other]},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "y"}, picture]},
        {"role": "assistant", "content": None, "tool_calls": [CALL | {"id": "c3"}]},
        {"role": "assistant", "content": [], "tool_calls": [CALL | {"id": "c4"}]},
    ) == [
        {"role": "assistant", "content": "One moment."},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "x"},
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
        {
            "type": "custom_tool_call_output",
            "call_id": "c2",
            "output": [
                {"type": "input_text", "text": "y"},
                {"type": "input_image", "detail": "auto", "image_url": "https://x.example/a"},
            ],
        },
        {"type": "function_call", "call_id": "c3", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "c4", "name": "f", "arguments": "{}"},
    ]


def test_assistant_text_and_refusal() -> None:
    text = {"type": "output_text", "text": "a", "annotations": []}
    refusal = {"type": "refusal", "refusal": "no"}
    parts = [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "no"}]
    assert items(
        {"role": "assistant", "content": parts},
        {"role": "assistant", "content": "a", "refusal": "no"},
        {"role": "assistant", "content": None, "refusal": "no"},
        {"role": "assistant", "content": "", "refusal": None},
    ) == [
        {"role": "assistant", "content": [text, refusal]},
        {"role": "assistant", "content": [text, refusal]},
        {"role": "assistant", "content": [refusal]},
        {"role": "assistant", "content": ""},
    ]


def test_empty_text_does_not_separate_reasoning_from_its_call() -> None:
    state = sealed("openai-responses", '{"encrypted_content":"x"}')
    details = [{"type": "reasoning.encrypted", "data": state}]
    message: Object = {"role": "assistant", "content": "", "tool_calls": [CALL]}
    sent = cast("list[Object]", body_of(message | {"reasoning_details": details})["input"])
    assert [item.get("type") for item in sent] == ["reasoning", "function_call"]


def test_unsupported_message_fields_are_left_out() -> None:
    messages: list[Object] = [
        {"role": "user", "content": "a", "name": "Ann", "audio": None},
        {
            "role": "user",
            "content": [{"type": "text", "text": "b"}, {"type": "input_audio", "input_audio": {}}],
        },
        {"role": "assistant", "content": "c", "reasoning_content": "hm", "tool_calls": [{}, CALL]},
        {"role": "function", "name": "f", "content": "d"},
    ]
    assert left_out(*messages) == (
        "messages[0].name",
        "messages[1].content[1]",
        "messages[2].reasoning_content",
        "messages[2].tool_calls[0]",
        "messages[3]",
    )
    assert body_of(*messages)["input"] == [
        {"role": "user", "content": "a"},
        {"role": "user", "content": [{"type": "input_text", "text": "b"}]},
        {"role": "assistant", "content": "c"},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
    ]


def test_tools_are_flattened() -> None:
    schema = {"type": "object", "properties": {}}
    nested = {"name": "f", "description": "does", "parameters": schema, "strict": True}
    hosted = {"type": "web_search"}
    flat = {"type": "function", "name": "h", "parameters": schema, "strict": False}
    assert translated(
        tools=[
            {"type": "function", "function": nested},
            {"type": "function", "function": {"name": "g", "strict": None}},
            hosted,
            flat,
        ]
    ) == {
        "tools": [
            {"type": "function", **nested},
            {"type": "function", "name": "g", "parameters": None, "strict": False},
            hosted,
            flat,
        ]
    }


@pytest.mark.parametrize(
    ("chat", "responses"),
    [
        ("auto", "auto"),
        ("required", "required"),
        ({"type": "function", "function": {"name": "f"}}, {"type": "function", "name": "f"}),
        ({"type": "web_search_preview"}, {"type": "web_search_preview"}),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "auto",
                    "tools": [{"type": "function", "function": {"name": "f"}}, {"type": "mcp"}],
                },
            },
            {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "name": "f"}, {"type": "mcp"}],
            },
        ),
    ],
)
def test_the_choice_of_tools(chat: object, responses: object) -> None:
    tool = {"type": "web_search_preview"}
    sent = translated(tools=[tool], tool_choice=chat)
    assert sent == {"tools": [tool], "tool_choice": responses}


def test_the_format_of_the_text() -> None:
    schema = {"name": "n", "schema": {"type": "object"}, "strict": True}
    wanted = {"type": "json_schema", "json_schema": schema}
    assert translated(response_format=wanted) == {
        "text": {"format": {"type": "json_schema", **schema}}
    }
    assert translated(response_format={"type": "json_object"}, verbosity="low") == {
        "text": {"format": {"type": "json_object"}, "verbosity": "low"}
    }


def test_lengths_effort_and_logprobs() -> None:
    assert translated(max_tokens=7) == {"max_output_tokens": 7}
    assert translated(max_tokens=7, max_completion_tokens=9) == {"max_output_tokens": 9}
    assert translated(max_completion_tokens=9, max_tokens=7) == {"max_output_tokens": 9}
    sealed = ["reasoning.encrypted_content"]
    assert translated(reasoning_effort="low") == {"reasoning": {"effort": "low"}, "include": sealed}
    assert translated(reasoning_effort="low", include=["a", *sealed])["include"] == ["a", *sealed]
    assert translated(reasoning_effort="none") == {"reasoning": {"effort": "none"}}
    assert translated(logprobs=True, top_logprobs=2) == {
        "include": ["message.output_text.logprobs"],
        "top_logprobs": 2,
    }
    assert translated(logprobs=False) == {}


@pytest.mark.parametrize("turned", [False, True])
def test_single_fields_are_merged_into_their_objects(turned: bool) -> None:
    parameters: Object = {
        "reasoning": {"summary": "auto", "effort": "high"},
        "reasoning_effort": "low",
        "text": {"verbosity": "low"},
        "response_format": {"type": "text"},
        "include": ["reasoning.encrypted_content"],
        "logprobs": True,
    }
    order = reversed(parameters.items()) if turned else parameters.items()
    assert translated(**dict(order)) == {
        "reasoning": {"summary": "auto", "effort": "low"},
        "text": {"verbosity": "low", "format": {"type": "text"}},
        "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
    }


def test_other_fields_of_the_api_are_passed_on() -> None:
    others: Object = {
        "temperature": 0.5,
        "top_p": 0.9,
        "user": "u",
        "metadata": {"a": "b"},
        "tools": [{"type": "web_search_preview"}],
        "parallel_tool_calls": False,
        "service_tier": "flex",
        "max_tool_calls": 3,
    }
    assert translated(**others) == others


@pytest.mark.parametrize(
    ("name", "value", "nothing"),
    [
        ("stop", ["x"], []),
        ("seed", 3, None),
        ("n", 2, 1),
        ("logit_bias", {"1": 2}, {}),
        ("frequency_penalty", 0.5, 0),
        ("presence_penalty", 0.5, 0.0),
        ("prediction", {"type": "content", "content": "x"}, None),
        ("modalities", ["text", "audio"], ["text"]),
        ("audio", {"voice": "x"}, None),
        ("functions", [{"name": "f"}], []),
        ("function_call", "auto", None),
        ("web_search_options", {}, None),
        ("background", True, False),
    ],
)
def test_unsupported_parameter_values_are_left_out(
    name: str, value: object, nothing: object
) -> None:
    assert left_out(**{name: value}) == (name,)
    assert body_of(**{name: value}) == body_of()
    assert translated(**{name: nothing}) == {}


def test_client_cannot_override_our_fields() -> None:
    assert body_of(store=True, stream=False, stream_options={}) == body_of()
    assert left_out(input="mine", model="other") == ("input", "model")
    assert body_of(input="mine", model="other") == body_of()


def test_request_matches_the_sdk_types() -> None:
    schema = {"type": "object", "properties": {}}
    body = body_of(
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": "https://x.example/a"}},
            ],
        },
        {"role": "assistant", "content": "Wait.", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "y"}]},
        tools=[{"type": "function", "function": {"name": "f", "parameters": schema}}],
        tool_choice={"type": "function", "function": {"name": "f"}},
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
        max_tokens=30,
        reasoning_effort="low",
        verbosity="high",
        logprobs=True,
    )
    PARAMS.validate_python(body, strict=True)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["type", "text", "function", "image_url", "url", "name", "id", "custom",
                         "refusal", "json_schema", "allowed_tools", "tools"]),
        inner | st.sampled_from(["function", "text", "custom", "allowed_tools"]), max_size=4),
    max_leaves=10,
)  # fmt: skip


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["role", "content", "tool_calls", "refusal", "tool_call_id"]),
            ANY | st.sampled_from(["user", "assistant", "tool"]),
        ),
        max_size=3,
    ),
    st.dictionaries(
        st.sampled_from(["tools", "tool_choice", "response_format", "reasoning", "text", "stop",
                         "include", "logprobs", "max_tokens", "reasoning_effort", "verbosity"]),
        ANY),
)  # fmt: skip
def test_arbitrary_client_input_does_not_crash(
    messages: list[Object], parameters: Mapping[str, object]
) -> None:
    assert body_of(*messages, **parameters)["model"] == "gpt"
    left_out(*messages, **parameters)
