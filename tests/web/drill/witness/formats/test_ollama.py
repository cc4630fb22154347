"""Ollama's API as served by the simulated provider, checked with the SDK's types."""

import contextlib
from typing import Any

import msgspec
import ollama
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.turn.chat_messages import write_messages
from actors.turn.chunks import (
    Chunk,
    FinishChunk,
    ReasoningChunk,
    RefusalChunk,
    SkippedChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
)
from actors.turn.outcome import ErrorInfo, Reason, Usage
from web.drill.witness.formats.base import IncomingCall, Renderer
from web.drill.witness.formats.ollama import WIRE
from web.http.api_error import ApiError

PATH = "/api/chat"
USAGE = UsageChunk(Usage(input_tokens=4, output_tokens=5, reasoning_tokens=2))
META = {"model": "sim", "created_at": "1970-01-01T00:16:40.000000007Z"}


def read(**fields: Any) -> IncomingCall:
    document: dict[str, Any] = {"model": "sim", "messages": [{"role": "user", "content": "Hi"}]}
    return WIRE.read(PATH, msgspec.json.encode(document | fields))


def renderer(*, usage: bool = True) -> Renderer:
    return WIRE.renderer(msgspec.structs.replace(read(), include_usage=usage), 7, 1000)


def checked(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document after the SDK has accepted it without unknown fields."""
    found = ollama.ChatResponse.model_validate(document, strict=True)
    assert document.keys() <= ollama.ChatResponse.model_fields.keys()
    assert found.model_dump(exclude_unset=True) == document
    return document


def lines(frames: bytes) -> list[dict[str, Any]]:
    *found, rest = frames.split(b"\n")
    assert rest == b""
    return [checked(msgspec.json.decode(line)) for line in found]


def test_stream_is_the_default() -> None:
    assert WIRE.matches(PATH)
    assert not WIRE.matches("/api/generate")
    assert read().stream
    assert read(stream=True).stream
    assert not read(stream=False).stream


def test_conversation_is_read() -> None:
    call = {"function": {"name": "f", "arguments": {"x": 1}}}
    ask = read(
        messages=[
            {"role": "system", "content": "s"},
            {"role": "user", "content": "a", "images": ["aGk="]},
            {"role": "assistant", "content": "", "tool_calls": [call, {**call, "id": "c1"}]},
            {"role": "tool", "content": "1", "tool_name": "f"},
            {"role": "tool", "content": "2", "tool_call_id": "c1", "tool_name": "f"},
            {"role": "tool", "content": "3", "tool_name": "h"},
            {"role": "assistant", "content": "Once"},
        ]
    )

    def fields(id: str) -> dict[str, Any]:
        function = {"name": "f", "arguments": '{"x":1}'}
        return {"id": id, "type": "function", "function": function}

    assert write_messages(ask.call.messages) == [
        {"role": "system", "content": "s"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "a"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
            ],
        },
        {"role": "assistant", "content": None, "tool_calls": [fields("call_2_0"), fields("c1")]},
        {"role": "tool", "tool_call_id": "call_2_0", "content": "1"},
        {"role": "tool", "tool_call_id": "c1", "content": "2"},
        {"role": "tool", "tool_call_id": "h", "content": "3"},
        {"role": "assistant", "content": "Once"},
    ]


def test_parameters_are_read() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    ask = read(
        options={"num_predict": 5, "stop": ["x"], "num_ctx": 9}, tools=tools, keep_alive="5m"
    )
    assert ask.call.parameters == {
        "max_tokens": 5,
        "stop": ["x"],
        "num_ctx": 9,
        "tools": tools,
        "keep_alive": "5m",
    }


@pytest.mark.parametrize(
    ("think", "effort"), [(True, "medium"), (False, "none"), ("high", "high"), (None, None)]
)
def test_think_becomes_reasoning_effort(think: Any, effort: str | None) -> None:
    assert read(think=think).call.parameters.get("reasoning_effort") == effort


def test_response_formats_are_read() -> None:
    def wanted(format: Any) -> Any:
        return read(format=format).call.parameters.get("response_format")

    assert wanted("") is None
    assert wanted("json") == {"type": "json_object"}
    assert wanted({"type": "object"})["json_schema"]["schema"] == {"type": "object"}


@pytest.mark.parametrize(
    ("body", "complaint", "param"),
    [
        (b"", "not valid JSON", None),
        (b"[1]", "must be a JSON object", None),
        (b"{}", "field required", "model"),
        (b'{"model":"m","messages":[1]}', "valid dictionary", "messages[0]"),
        (b'{"model":"m","messages":[{"role":"odd"}]}', "should be 'system'", "messages[0].role"),
        (b'{"model":"m","messages":[{"role":[]}]}', "should be 'system'", "messages[0].role"),
        (
            b'{"model":"m","messages":[{"role":"assistant","tool_calls":'
            b'[{"function":{"name":"f","arguments":"{}"}}]}]}',
            "valid dictionary",
            "messages[0].tool_calls[0].function.arguments",
        ),
    ],
)
def test_invalid_request_is_rejected(body: bytes, complaint: str, param: str | None) -> None:
    with pytest.raises(ApiError, match=complaint) as problem:
        WIRE.read(PATH, body)
    assert problem.value.info.param == param


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["role", "content", "images", "tool_calls", "function", "name",
                         "arguments", "tool_name", "tool_call_id"]),
        inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(
    st.lists(st.dictionaries(st.sampled_from(["content", "images", "tool_calls"]), ANYTHING)),
    st.sampled_from(["user", "assistant", "tool"]),
    st.dictionaries(st.sampled_from(["options", "think", "format", "tools"]), ANYTHING),
)
def test_any_document_is_read_or_rejected(
    messages: list[dict[str, Any]], role: str, fields: dict[str, Any]
) -> None:
    with contextlib.suppress(ApiError):
        assert isinstance(
            read(messages=[one | {"role": role} for one in messages], **fields), IncomingCall
        )


@given(st.lists(st.text(), min_size=1))
def test_text_round_trips(texts: list[str]) -> None:
    render = renderer()
    frames = b"".join(render.frame(TextChunk(text)) for text in texts)
    assert [line["message"]["content"] for line in lines(frames)] == texts


@pytest.mark.parametrize(
    ("chunk", "fields"),
    [
        (TextChunk("Hi"), {"content": "Hi"}),
        (RefusalChunk("no"), {"content": "no"}),
        (ReasoningChunk("hm"), {"content": "", "thinking": "hm"}),
    ],
)
def test_frames(chunk: Chunk, fields: dict[str, Any]) -> None:
    (line,) = lines(renderer().frame(chunk))
    assert line == {**META, "message": {"role": "assistant", **fields}, "done": False}


def test_tool_calls_are_sent_complete_and_in_order() -> None:
    render = renderer()
    assert render.frame(ToolCallChunk(0, "c0", "f", '{"a"')) == b""
    assert render.frame(ToolCallChunk(0, None, None, ":1}")) == b""
    (first,) = lines(render.frame(ToolCallChunk(1, "c1", "g", "{")))
    function = {"name": "f", "arguments": {"a": 1}}
    assert first["message"]["tool_calls"] == [{"function": function}]
    assert render.frame(FinishChunk(Reason.LENGTH)) == b""


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        (Reason.STOP, "stop"),
        (Reason.TOOL_CALLS, "stop"),
        (Reason.CONTENT_FILTER, "stop"),
        (Reason.LENGTH, "length"),
    ],
)
def test_finish_and_usage_are_one_line(reason: Reason, word: str) -> None:
    render = renderer()
    assert render.frame(FinishChunk(reason)) == b""
    (line,) = lines(render.frame(USAGE))
    assert line == {
        **META,
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": word,
        "total_duration": 9_000_000,
        "load_duration": 0,
        "prompt_eval_count": 4,
        "prompt_eval_duration": 4_000_000,
        "eval_count": 5,
        "eval_duration": 5_000_000,
    }
    assert render.end() == b""
    (alone,) = lines(renderer(usage=False).frame(FinishChunk(reason)))
    assert (alone["done_reason"], "eval_count" in alone) == (word, False)


def test_faulty_lines() -> None:
    render = renderer()
    torn_frame, odd = render.torn_frame(TextChunk(" whole")), render.frame(SkippedChunk("?"))
    for wrong in (torn_frame, odd, render.half_frame()):
        with pytest.raises(msgspec.DecodeError):
            msgspec.json.decode(wrong)
    assert torn_frame.endswith(b'"content":" whole\n')
    assert odd.endswith(b"\n")
    assert b"\n" not in render.half_frame()
    assert b"content" not in odd + render.half_frame()
    error = msgspec.json.decode(render.error_frame("late"))
    assert error == {"error": "The simulated model failed midway."}


def test_non_streaming_answer() -> None:
    body = renderer().whole(
        [
            ReasoningChunk("h"),
            ReasoningChunk("m"),
            TextChunk("H"),
            RefusalChunk("i"),
            ToolCallChunk(0, "c0", "f", "{"),
            ToolCallChunk(0, None, None, "}"),
            ToolCallChunk(1, "c1", "g", "{}"),
            FinishChunk(Reason.TOOL_CALLS),
            USAGE,
        ]
    )
    document = checked(msgspec.json.decode(body))
    assert (document["done"], document["done_reason"]) == (True, "stop")
    assert (document["prompt_eval_count"], document["eval_count"]) == (4, 5)
    assert document["message"] == {
        "role": "assistant",
        "content": "Hi",
        "thinking": "hm",
        "tool_calls": [
            {"function": {"name": "f", "arguments": {}}},
            {"function": {"name": "g", "arguments": {}}},
        ],
    }


def test_error_body() -> None:
    rejection = ErrorInfo(status=404, message="No such model", code="c", param="model")
    assert msgspec.json.decode(WIRE.error_body(rejection)) == {"error": "No such model"}
