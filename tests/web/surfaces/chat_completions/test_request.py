"""Tests that chat requests are validated and that errors name the path of the field."""

import json

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from actors.runtime.offload import MAX_VALUES
from actors.turn.chat_messages import write_messages
from web.http.api_error import ApiError
from web.http.json_body import json_object, read_json
from web.http.validation_errors import first_error
from web.surfaces.chat_completions.request import read_chat_request
from web.surfaces.content_parts import MAX_PARTS
from web.surfaces.validation import MAX_MESSAGES
from web.turns.planner import ModelRequest

USER = {"role": "user", "content": "Hi"}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}


def read(**changes: object) -> ModelRequest:
    return read_body(json.dumps({"model": "large", "messages": [USER]} | changes).encode())


def read_body(body: bytes) -> ModelRequest:
    return read_chat_request(json_object(body))


def refusal(body: bytes) -> tuple[str | None, str | None, str]:
    with pytest.raises(ApiError) as caught:
        read_body(body)
    info = caught.value.info
    assert info.status == 400
    assert info.type == "invalid_request_error"
    assert info.message
    return info.param, info.code, info.message


def test_minimal_request_has_the_defaults() -> None:
    ask = read()
    assert (ask.model, ask.stream, ask.keep_text) == ("large", False, True)
    assert ask.dialect_options == {"include_usage": False}
    assert write_messages(ask.call.messages) == [USER]
    assert ask.call.parameters == {}


def test_answer_options_are_read() -> None:
    ask = read(stream=True, stream_options={"include_usage": True}, store=False)
    assert (ask.stream, ask.keep_text) == (True, False)
    assert ask.dialect_options == {"include_usage": True}


def test_null_counts_as_absent() -> None:
    ask = read(stream=None, stream_options=None, temperature=None, stop=None, store=None, n=None)
    assert (ask.stream, ask.keep_text) == (False, True)
    assert ask.dialect_options == {"include_usage": False}


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_minus_one_token_means_no_limit(name: str) -> None:
    assert name not in read(**{name: -1}).call.parameters


def test_other_parameters_are_passed_on_unchanged() -> None:
    given = {
        "temperature": 0.3,
        "top_p": 1,
        "max_tokens": 5,
        "stop": ["a", "b"],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"x": [1, None]}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "s"}},
        "seed": -1,
        "user": "me",
        "logit_bias": {"50256": -100},
        "something_new": [{"a": None}],
    }
    assert read(**given).call.parameters == given


def test_messages_are_passed_on_unchanged() -> None:
    messages = [
        {"role": "system", "content": "Be kind.", "name": "boss", "x": {"y": 1}},
        {"role": "user", "content": [{"type": "text", "text": "What is this?"}, IMAGE]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function"}]},
        {"role": "tool", "content": "42", "tool_call_id": "c"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {"role": "developer", "content": [{"type": "text", "text": "", "cache_control": {}}]},
    ]
    assert write_messages(read(messages=messages).call.messages) == messages


NOT_OBJECTS = [
    (b"", "not valid JSON"),
    (b"{", "not valid JSON"),
    (b"nope", "not valid JSON"),
    (b'{"model": "a"} x', "not valid JSON"),
    (b'{"a": NaN}', "not valid JSON"),
    (b'{"a": "\xff"}', "not valid JSON"),
    (b'{"a": "\\ud800"}', "not valid JSON"),
    (b"[]", "must be a JSON object"),
    (b"null", "must be a JSON object"),
    (b'"text"', "must be a JSON object"),
    (b"17", "must be a JSON object"),
    (b'{"a": 1e999}', "a number that is out of range"),
    (b'{"a": ' + b"1" * 5_000 + b"}", "a number that is out of range"),
    (b'{"a":' * 100_000, "nested too deeply"),
]


@pytest.mark.parametrize(("body", "words"), NOT_OBJECTS, ids=lambda value: str(value)[:20])
def test_body_that_is_not_an_object_is_rejected(body: bytes, words: str) -> None:
    param, code, message = refusal(body)
    assert words in message
    assert (param, code) == (None, None)


def with_message(**message: object) -> dict[str, object]:
    return {"messages": [USER, {"role": "user"} | message]}


def with_part(part: object) -> dict[str, object]:
    return with_message(content=[{"type": "text", "text": "a"}, part])


def tool(**function: object) -> dict[str, object]:
    return {"tools": [{"type": "function", "function": function}]}


INVALID, MISSING = "invalid_value", "missing_required_parameter"
PART, KIND, URL = "invalid_content_part", "unsupported_content_type", "invalid_image_url"

BAD: list[tuple[dict[str, object], str, str]] = [
    ({"model": None}, "model", INVALID),
    ({"model": ""}, "model", INVALID),
    ({"model": 5}, "model", INVALID),
    ({"messages": None}, "messages", INVALID),
    ({"messages": []}, "messages", INVALID),
    ({"messages": "Hi"}, "messages", INVALID),
    ({"messages": {}}, "messages", INVALID),
    ({"messages": ["Hi"]}, "messages[0]", INVALID),
    ({"messages": [USER, None]}, "messages[1]", INVALID),
    ({"messages": [{"content": "Hi"}]}, "messages[0].role", MISSING),
    ({"messages": [{"role": "king", "content": "Hi"}]}, "messages[0].role", INVALID),
    (with_message(content=5), "messages[1].content", PART),
    (with_message(content={"type": "text"}), "messages[1].content", PART),
    (with_part(5), "messages[1].content[1]", PART),
    (with_part({}), "messages[1].content[1].type", KIND),
    (with_part({"type": "hologram"}), "messages[1].content[1].type", KIND),
    (with_part({"type": "input_audio"}), "messages[1].content[1].input_audio", MISSING),
    (with_part({"type": 5}), "messages[1].content[1].type", KIND),
    (with_part({"type": "text"}), "messages[1].content[1].text", MISSING),
    (with_part({"type": "text", "text": 5}), "messages[1].content[1].text", PART),
    (with_part({"type": "refusal", "refusal": 5}), "messages[1].content[1].refusal", PART),
    (with_part({"type": "image_url"}), "messages[1].content[1].image_url", MISSING),
    (with_part({"type": "image_url", "image_url": "u"}), "messages[1].content[1].image_url", URL),
    (with_part({"type": "image_url", "image_url": 5}), "messages[1].content[1].image_url", PART),
    (
        with_part({"type": "image_url", "image_url": {}}),
        "messages[1].content[1].image_url.url",
        MISSING,
    ),
    *[
        (
            with_part({"type": "image_url", "image_url": {"url": url}}),
            "messages[1].content[1].image_url.url",
            URL,
        )
        for url in ("", "ftp://x/y", "file:///etc/passwd", "data:text/html,x", "javascript:x")
    ],
    (with_message(tool_calls={}), "messages[1].tool_calls", INVALID),
    (with_message(tool_calls=[1]), "messages[1].tool_calls[0]", INVALID),
    ({"stream": "yes"}, "stream", INVALID),
    ({"stream": 1}, "stream", INVALID),
    ({"stream_options": True}, "stream_options", INVALID),
    ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage", INVALID),
    ({"n": 2}, "n", INVALID),
    ({"n": 0}, "n", INVALID),
    ({"n": True}, "n", INVALID),
    ({"store": "no"}, "store", INVALID),
    ({"temperature": 2.1}, "temperature", INVALID),
    ({"temperature": -1}, "temperature", INVALID),
    ({"temperature": "hot"}, "temperature", INVALID),
    ({"top_p": 1.1}, "top_p", INVALID),
    ({"max_tokens": 0}, "max_tokens", INVALID),
    ({"max_tokens": 1.5}, "max_tokens", INVALID),
    ({"max_completion_tokens": -2}, "max_completion_tokens", INVALID),
    ({"stop": 5}, "stop", INVALID),
    ({"stop": ["a", 5]}, "stop[1]", INVALID),
    ({"tools": {}}, "tools", INVALID),
    ({"tools": ["f"]}, "tools[0]", INVALID),
    ({"tools": [{}]}, "tools[0].type", MISSING),
    ({"tools": [{"type": 5}]}, "tools[0].type", INVALID),
    ({"tools": [{"type": "function"}]}, "tools[0].function", MISSING),
    ({"tools": [{"type": "function", "function": "f"}]}, "tools[0].function", INVALID),
    (tool(), "tools[0].function.name", MISSING),
    (tool(name=""), "tools[0].function.name", INVALID),
    (tool(name=["f"]), "tools[0].function.name", INVALID),
    (tool(name="f" * 513), "tools[0].function.name", INVALID),
    (tool(name="f", parameters="{}"), "tools[0].function.parameters", INVALID),
    (tool(name="f", description={}), "tools[0].function.description", INVALID),
    ({"tool_choice": 5}, "tool_choice", INVALID),
    ({"tool_choice": "always"}, "tool_choice", INVALID),
    ({"tool_choice": {}}, "tool_choice.type", MISSING),
    ({"tool_choice": {"type": "function"}}, "tool_choice.function", MISSING),
    (
        {"tool_choice": {"type": "function", "function": {}}},
        "tool_choice.function.name",
        MISSING,
    ),
    ({"strict": "yes"}, "strict", INVALID),
    ({"response_format": "json"}, "response_format", INVALID),
    ({"seed": "x"}, "seed", INVALID),
]


@pytest.mark.parametrize(("changes", "param", "code"), BAD, ids=lambda value: str(value)[:60])
def test_invalid_field_is_named_with_its_path(
    changes: dict[str, object], param: str, code: str
) -> None:
    body = {"model": "large", "messages": [USER]} | changes
    assert refusal(json.dumps(body).encode())[:2] == (param, code)


@pytest.mark.parametrize("field", ["model", "messages"])
def test_missing_field_is_named(field: str) -> None:
    body = {"model": "large", "messages": [USER]}
    del body[field]
    assert refusal(json.dumps(body).encode())[:2] == (field, MISSING)


def test_only_one_choice_is_allowed() -> None:
    assert read(n=1).call.parameters == {"n": 1}
    assert "only one choice" in refusal(b'{"model":"a","messages":[{"role":"user"}],"n":3}')[2]


def test_error_mentions_further_invalid_fields() -> None:
    assert "other fields are invalid" in refusal(b'{"messages":[{}],"n":2,"seed":"x"}')[2]
    assert (
        "other fields are invalid"
        not in refusal(b'{"model":"a","messages":[{"role":"user"}],"n":3}')[2]
    )


@pytest.mark.parametrize("field", ["messages", "tools", "stop"])
def test_list_validation_stops_at_the_first_error(
    field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reporting a million errors would block the event loop for seconds."""
    counts = [0]

    def count_errors(error: ValidationError) -> ApiError:
        counts.append(error.error_count())
        return first_error(error)

    monkeypatch.setattr("web.http.validation_errors.first_error", count_errors)
    body = {"model": "large", "messages": [USER]} | {field: [0] * 1000}
    assert refusal(json.dumps(body).encode())[0] == f"{field}[0]"
    assert max(counts) <= 2  # a union complains once for each branch


def test_model_name_length_is_limited() -> None:
    assert read(model="a" * 512).model == "a" * 512
    assert refusal(b'{"model":"%s","messages":[{"role":"user"}]}' % (b"a" * 513))[0] == "model"


def test_error_does_not_repeat_the_input() -> None:
    body = {"model": "large", "messages": [{"role": "user", "content": 5, "x": "secret" * 1000}]}
    assert "secret" not in refusal(json.dumps(body).encode())[2]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["type", "text", "role", "content", "url", "image_url", "refusal"])
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
parts = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "input_text", "image_url", "input_image", "audio"]) | values},
    optional={"text": values, "image_url": values, "refusal": values},
)
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "tool"]) | values},
    optional={"content": st.lists(parts | values, max_size=3) | values, "tool_calls": values},
)
FIELDS = [
    "stream",
    "stream_options",
    "n",
    "store",
    "temperature",
    "top_p",
    "max_tokens",
    "stop",
    "tools",
    "tool_choice",
    "response_format",
    "seed",
    "model_config",
    "__class__",
]
bodies = values | st.fixed_dictionaries(
    {},
    optional={
        "model": st.just("large") | values,
        "messages": st.lists(messages | values, max_size=3) | values,
        **dict.fromkeys(FIELDS, values),
    },
)


@given(bodies)
def test_any_json_is_a_request_or_a_400(body: object) -> None:
    encoded = msgspec.json.encode(body)
    try:
        ask = read_body(encoded)
    except ApiError:
        refusal(encoded)
        return
    assert isinstance(body, dict)
    assert len(ask.call.messages) == len(body["messages"])
    assert ask.model == body["model"]
    again = msgspec.json.encode({"model": ask.model, "messages": write_messages(ask.call.messages)})
    assert write_messages(read_body(again).call.messages) == write_messages(ask.call.messages), (
        "not stable"
    )


@given(st.binary(max_size=50))
def test_any_bytes_are_a_400(body: bytes) -> None:
    with pytest.raises(ApiError):
        read_body(body)


def test_number_of_messages_and_parts_is_limited() -> None:
    part = {"type": "text", "text": "a"}
    many = {"role": "user", "content": [part] * (MAX_PARTS + 1)}
    for messages, path in (
        ([USER] * (MAX_MESSAGES + 1), "messages"),
        ([many], "messages[0].content"),
    ):
        body = json.dumps({"model": "large", "messages": messages}).encode()
        param, _, message = refusal(body)
        assert param == path
        assert "at most" in message
        assert str(MAX_MESSAGES if path == "messages" else MAX_PARTS) in message


def test_strict_is_not_passed_on() -> None:
    ask = read(strict=True)
    assert (ask.strict, ask.call.parameters) == (True, {})
    assert not read(strict=None).strict


def test_tools_of_other_types_are_passed_on() -> None:
    given = {
        "tools": [{"type": "custom", "custom": {"name": "c"}}, {"type": "web_search"}],
        "tool_choice": {"type": "allowed_tools", "mode": "auto"},
    }
    assert read(**given).call.parameters == given


async def received(body: object) -> ModelRequest:
    return await read_json(json.dumps(body).encode(), read_chat_request, trio.CapacityLimiter(1))


async def test_large_body_is_read_in_a_thread_with_the_same_result() -> None:
    text = {"role": "user", "content": "é" * 40_000}
    parts = {"role": "user", "content": [[{"type": "input_text", "text": "a"}], IMAGE]}
    body = {"model": "large", "messages": [text, parts], "x": [1, {"a": [None]}], "y": {"z": 1.5}}
    assert await received(body) == read_body(json.dumps(body).encode())
    assert await received({"model": "m", "messages": [USER]}) == read(model="m")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"model": "a", "b": "' + b"a" * 40_000, "not valid JSON"),
        (b'{"model": "a", "b": "' + b"\xff" * 40_000 + b'"}', "not valid JSON"),
        (b'{"model": "a", "b": [' + b"1," * 40_000 + b'"\\ud800"]}', "not valid JSON"),
        (b"[" + b"1," * 40_000 + b"1]", "must be a JSON object"),
        (b'{"a": [' + b"1," * 40_000 + b"1e999]}", "a number that is out of range"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_large_body_that_is_not_an_object_is_rejected(body: bytes, words: str) -> None:
    with pytest.raises(ApiError, match=words) as caught:
        await read_json(body, read_chat_request, trio.CapacityLimiter(1))
    assert caught.value.info.status == 400


async def test_body_with_too_many_values_is_rejected() -> None:
    body = b'{"model": "a", "metadata": [' + b"1," * MAX_VALUES + b"1]}"
    with pytest.raises(ApiError, match="more than 400000 JSON values") as caught:
        await read_json(body, read_chat_request, trio.CapacityLimiter(1))
    assert caught.value.info.status == 413


async def test_error_of_a_large_body_has_the_path() -> None:
    body = {"model": "large", "messages": [USER, {"role": "user", "content": [["a" * 40_000, 5]]}]}
    with pytest.raises(ApiError) as caught:
        await received(body)
    assert caught.value.info.param == "messages[1].content[0][1]"


@pytest.mark.parametrize("depth", range(100, 500, 20))
async def test_body_parsed_in_a_thread_can_be_encoded_deeper_in_the_stack(depth: int) -> None:
    """A body that is nested too deeply must be a 400 here and not a 500 later."""
    schema = '{"anyOf":[' * depth + "{}" + "]}" * depth
    body = f'{{"input":"{"x" * 40_000}","tools":[{schema}]}}'.encode()
    refused: str | None = None
    try:
        read = await read_json(body, lambda found: found, trio.CapacityLimiter(1))
        _encode_deeper(100, read)
    except ApiError as error:
        refused = error.info.message
    assert refused is None if depth <= 300 else refused in (None, "The body is nested too deeply.")


def _encode_deeper(levels: int, read: object) -> None:
    if levels:
        _encode_deeper(levels - 1, read)
    else:
        msgspec.json.encode(read)
