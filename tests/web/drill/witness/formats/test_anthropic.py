"""Anthropic's Messages API as served by the simulated provider."""

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.providers.formats.anthropic.decoder import ANTHROPIC, AnthropicDecoder
from actors.providers.simulated import script
from actors.turn.chat_messages import read_messages, write_messages
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
from actors.turn.model_call import FailureKind, ModelCall, UpstreamFailure
from actors.turn.outcome import ErrorInfo, Reason, Usage
from web.drill.witness.formats.anthropic import WIRE
from web.drill.witness.formats.base import IncomingCall, Renderer
from web.http.api_error import ApiError

_PATH = "/v1/messages"
HI: dict[str, Any] = {"role": "user", "content": "Hi there"}
USED = UsageChunk(Usage(input_tokens=9, output_tokens=3, cached_input_tokens=4, reasoning_tokens=1))


def read(**fields: Any) -> IncomingCall:
    document = {"model": "sim", "max_tokens": 100, "messages": [HI], **fields}
    return WIRE.read(_PATH, msgspec.json.encode(document))


def renderer(*, usage: bool = True) -> Renderer:
    ask = msgspec.structs.replace(read(stream=True), include_usage=usage)
    return WIRE.renderer(ask, 7, 1000)


def events(frames: bytes) -> list[dict[str, Any]]:
    """Return the data of the events but pings; each event must be named after its type."""
    *found, rest = frames.split(b"\n\n")
    assert rest == b""
    decoded: list[dict[str, Any]] = []
    for event in found:
        name, data = event.split(b"\n")
        decoded.append(msgspec.json.decode(data.removeprefix(b"data: ")))
        assert name == b"event: " + decoded[-1]["type"].encode()
    return [event for event in decoded if event["type"] != "ping"]


def test_request_is_read_as_a_chat() -> None:
    ask = read(
        system=[{"type": "text", "text": "Be brief."}],
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "x"},
                    {"type": "tool_use", "id": "a", "name": "weather", "input": {"city": "Bonn"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": "Rain."},
                    {"type": "text", "text": "Look:"},
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"},
                    },
                    {"type": "image", "source": {"type": "url", "url": "https://x.test/a"}},
                ],
            },
        ],
        stop_sequences=["END"],
        metadata={"user_id": "u"},
        tools=[{"name": "weather", "description": "d", "input_schema": {"type": "object"}}],
        tool_choice={"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
        output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}},
        temperature=0.5,
    )
    assert write_messages(ask.call.messages) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "a",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city":"Bonn"}'},
                }
            ],
            "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "x"}],
        },
        {"role": "tool", "tool_call_id": "a", "content": "Rain."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look:"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "image_url", "image_url": {"url": "https://x.test/a"}},
            ],
        },
    ]
    function = {"name": "weather", "description": "d", "parameters": {"type": "object"}}
    schema = {"name": "answer", "schema": {"type": "object"}}
    assert ask.call.parameters == {
        "max_tokens": 100,
        "stop": ["END"],
        "user": "u",
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "parallel_tool_calls": False,
        "response_format": {"type": "json_schema", "json_schema": schema},
        "temperature": 0.5,
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
    }
    assert (ask.user, ask.metadata, ask.stream) == ("u", {"user_id": "u"}, False)


@pytest.mark.parametrize(
    ("choice", "expected"), [("auto", "auto"), ("none", "none"), ("any", "required")]
)
def test_tool_choices_are_read(choice: str, expected: str | None) -> None:
    call = read(tools=[{"name": "f", "input_schema": {}}], tool_choice={"type": choice}).call
    assert call.parameters.get("tool_choice") == expected


TOOL_USE = {"type": "tool_use", "id": "a", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "a"}
CALLED = {"role": "assistant", "content": [TOOL_USE]}


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"seed": 3}, "seed: Extra inputs"),
        ({"model": 3}, "model: input"),
        ({"max_tokens": None}, "max_tokens: input"),
        ({"max_tokens": "many"}, "max_tokens: input"),
        ({"messages": "Hi"}, "messages: input"),
        ({"messages": []}, "at least 1 item"),
        ({"messages": [1]}, r"messages\[0\]: must"),
        ({"messages": [{"role": "tool", "content": "x"}]}, r"messages\[0\]\.role"),
        ({"messages": [{"role": "user"}]}, r"messages\[0\]\.content"),
        ({"messages": [{"role": "user", "content": [1]}]}, r"messages\[0\]\.content\[0\]"),
        ({"messages": [{"role": "user", "content": []}]}, "must not be empty"),
        ({"messages": [HI, {"role": "assistant", "content": []}, HI]}, "non-empty content"),
        ({"messages": [{"role": "user", "content": " "}]}, "must be non-empty"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            r"\.text: field required",
        ),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, r"content\[0\]\.type"),
        ({"messages": [HI, {"role": "assistant", "content": "so "}]}, "trailing whitespace"),
        ({"messages": [HI, CALLED, HI]}, "without `tool_result`"),
        ({"messages": [{"role": "user", "content": [RESULT]}]}, "unexpected `tool_use_id`"),
        (
            {"messages": [HI, {"role": "assistant", "content": [TOOL_USE | {"id": "a.b"}]}]},
            "match pattern",
        ),
        (
            {"messages": [HI, {"role": "assistant", "content": [TOOL_USE | {"input": "{}"}]}]},
            r"input: must be an object",
        ),
        ({"system": [{"type": "text", "text": ""}]}, "system: text content"),
        ({"temperature": 1.5}, "temperature: input"),
        ({"tools": {}}, "tools: input"),
        ({"tools": [{"input_schema": {}}]}, r"tools\[0\]\.name"),
        ({"tool_choice": {"type": "auto"}}, "while providing tools"),
        ({"thinking": {"type": "enabled"}}, "field required"),
        ({"thinking": {"type": "enabled", "budget_tokens": 50}}, "greater than or equal"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "must be greater than"),
        (
            {
                "max_tokens": 4000,
                "thinking": {"type": "enabled", "budget_tokens": 2000},
                "tools": [{"name": "f", "input_schema": {}}],
                "tool_choice": {"type": "any"},
            },
            "forces tool use",
        ),
        (
            {
                "max_tokens": 4000,
                "thinking": {"type": "enabled", "budget_tokens": 2000},
                "temperature": 1,
            },
            "may only be 1",
        ),
    ],
)
def test_invalid_request_is_rejected(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ApiError, match=complaint):
        read(**fields)


@pytest.mark.parametrize("body", [b"", b"[1]", b'"\xff"', b"[" * 100_000, b"{}"])
def test_malformed_body_is_rejected(body: bytes) -> None:
    with pytest.raises(ApiError):
        WIRE.read(_PATH, body)


@given(st.binary())
def test_any_body_is_read_or_rejected(body: bytes) -> None:
    with contextlib.suppress(ApiError):
        assert isinstance(WIRE.read(_PATH, body), IncomingCall)


WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(str.strip)
PARTS = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, WORDS),
    st.just({"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}),
    st.just({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}),
)
INPUTS = st.dictionaries(WORDS, st.integers(0, 9) | WORDS | st.none(), max_size=3)


@st.composite
def exchanges(draw: st.DrawFn, name: str) -> list[dict[str, Any]]:
    """Draw a question and its answer, with tool calls in between, whose ids have the name."""
    question = draw(WORDS | st.lists(PARTS, min_size=2, max_size=3))
    messages: list[dict[str, Any]] = [{"role": "user", "content": question}]
    for number in range(draw(st.integers(0, 2))):
        calls = [
            {
                "id": f"call_{name}_{number}_{index}",
                "type": "function",
                "function": {"name": "f", "arguments": msgspec.json.encode(given).decode()},
            }
            for index, given in enumerate(draw(st.lists(INPUTS, min_size=1, max_size=3)))
        ]
        content = draw(st.none() | WORDS)
        messages.append({"role": "assistant", "content": content, "tool_calls": calls})
        messages += [
            {"role": "tool", "tool_call_id": call["id"], "content": draw(WORDS)} for call in calls
        ]
    return [*messages, {"role": "assistant", "content": draw(WORDS)}]


@given(st.lists(WORDS, max_size=2), st.integers(0, 2), exchanges("a"), exchanges("b"), WORDS)
def test_chat_survives_our_request_format(
    system: list[str],
    length: int,
    first: list[dict[str, Any]],
    second: list[dict[str, Any]],
    question: str,
) -> None:
    """It must also follow the API's rules, or the simulated API would reject it."""
    history = [first, second][:length]
    messages = [
        *({"role": "system", "content": text} for text in system),
        *(message for exchange in history for message in exchange),
        {"role": "user", "content": question},
    ]
    call = ModelCall(
        upstream_model="sim", messages=read_messages(messages), parameters={"user": "u"}
    )
    assert ANTHROPIC.unsupported(call) == ()
    sent = WIRE.read(_PATH, ANTHROPIC.build(call, None).body).call
    if len(system) > 1:  # the API has one system prompt of several blocks
        messages[: len(system)] = [
            {"role": "system", "content": [{"type": "text", "text": text} for text in system]}
        ]
    assert write_messages(sent.messages) == messages
    assert sent.parameters == {"max_tokens": 32_000, "user": "u"}


def test_stream() -> None:
    render = renderer()
    chunks: list[Chunk] = [
        ReasoningChunk("hm"),
        TextChunk("He"),
        RefusalChunk("llo"),
        ToolCallChunk(0, "call_0", "f", "{"),
        ToolCallChunk(0, None, None, "}"),
        ToolCallChunk(1, "call_1", "g", ""),
        FinishChunk(Reason.TOOL_CALLS),
        USED,
    ]
    frames = b"".join(map(render.frame, chunks)) + render.end()

    def delta(index: int, type: str, **fields: str) -> dict[str, Any]:
        return {
            "type": "content_block_delta",
            "index": index,
            "delta": {"type": type, **fields},
        }

    def start(index: int, **block: Any) -> dict[str, Any]:
        return {"type": "content_block_start", "index": index, "content_block": block}

    def stop(index: int) -> dict[str, Any]:
        return {"type": "content_block_stop", "index": index}

    assert frames.count(b'event: ping\ndata: {"type":"ping"}\n\n') == 1
    assert events(frames) == [
        {
            "type": "message_start",
            "message": {
                "id": "msg_simulated_7",
                "type": "message",
                "role": "assistant",
                "model": "sim",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {
                    "input_tokens": 2,
                    "cache_creation_input_tokens": 0,
                    "cache_read_input_tokens": 0,
                    "output_tokens": 0,
                    "output_tokens_details": {"thinking_tokens": 0},
                },
            },
        },
        start(0, type="thinking", thinking="", signature=""),
        delta(0, "thinking_delta", thinking="hm"),
        delta(0, "signature_delta", signature="c2ltdWxhdGVkIHRoaW5raW5n"),
        stop(0),
        start(1, type="text", text=""),
        delta(1, "text_delta", text="He"),
        delta(1, "text_delta", text="llo"),
        stop(1),
        start(2, type="tool_use", id="call_0", name="f", input={}),
        delta(2, "input_json_delta", partial_json="{"),
        delta(2, "input_json_delta", partial_json="}"),
        stop(2),
        start(3, type="tool_use", id="call_1", name="g", input={}),
        stop(3),
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None},
            "usage": {
                "input_tokens": 5,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 4,
                "output_tokens": 3,
                "output_tokens_details": {"thinking_tokens": 1},
            },
        },
        {"type": "message_stop"},
    ]


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        (Reason.STOP, "end_turn"),
        (Reason.LENGTH, "max_tokens"),
        (Reason.TOOL_CALLS, "tool_use"),
        (Reason.CONTENT_FILTER, "refusal"),
    ],
)
def test_stop_reasons_are_mapped(reason: Reason, word: str) -> None:
    render = renderer()
    last = events(render.frame(FinishChunk(reason)) + render.frame(USED))[-1]
    assert last["delta"]["stop_reason"] == word
    assert ("stop_details" in last["delta"]) is (reason is Reason.CONTENT_FILTER)


def test_finish_is_sent_at_once_without_usage() -> None:
    render = renderer(usage=False)
    (_, last) = events(render.frame(FinishChunk(Reason.STOP)))
    assert last == {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
    }
    assert events(render.end()) == [{"type": "message_stop"}]


@given(st.lists(st.text(min_size=1), min_size=1))
def test_text_round_trips(texts: list[str]) -> None:
    render, decoder = renderer(), AnthropicDecoder()
    chunks: list[Chunk] = [*map(TextChunk, texts), FinishChunk(Reason.STOP), USED]
    decoded = decoder.feed(b"".join(map(render.frame, chunks)) + render.end())
    assert decoded == [*chunks[:-2], USED, FinishChunk(Reason.STOP)]
    assert decoder.saw_end_marker


def test_faulty_frames() -> None:
    render = renderer()
    first = render.frame(TextChunk("a"))
    torn_frame = render.torn_frame(TextChunk(" whole"))
    assert torn_frame.endswith(b'"text":" whole\n\n')
    decoder = AnthropicDecoder()
    assert decoder.feed(first + torn_frame) == [TextChunk("a")]
    with pytest.raises(UpstreamFailure) as failure:
        decoder.end()
    assert failure.value.kind is FailureKind.MALFORMED
    decoder = AnthropicDecoder()
    skipped = decoder.feed(first + render.frame(SkippedChunk("?")))
    assert [type(chunk) for chunk in skipped] == [TextChunk, SkippedChunk]
    assert b"\n\n" not in render.half_frame()
    assert b'"text' not in render.half_frame()


@pytest.mark.parametrize(
    ("code", "type"),
    [(None, "api_error"), ("late", "api_error"), ("overloaded_error", "overloaded_error")],
)
def test_errors_in_the_stream(code: str | None, type: str) -> None:
    assert events(renderer().error_frame(code)) == [
        {
            "type": "error",
            "error": {"type": type, "message": "The simulated model failed midway."},
            "request_id": "req_simulated",
        }
    ]


def test_non_streaming_answer() -> None:
    body = renderer().whole(
        [
            ReasoningChunk("h"),
            ReasoningChunk("m"),
            TextChunk("a"),
            RefusalChunk("b"),
            ToolCallChunk(0, "call_0", "f", '{"x"'),
            ToolCallChunk(0, None, None, ":1}"),
            ToolCallChunk(1, "call_1", "g", '{"cut'),
            FinishChunk(Reason.TOOL_CALLS),
            USED,
        ]
    )
    document = msgspec.json.decode(body)
    assert document["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "c2ltdWxhdGVkIHRoaW5raW5n"},
        {"type": "text", "text": "ab"},
        {"type": "tool_use", "id": "call_0", "name": "f", "input": {"x": 1}},
        {"type": "tool_use", "id": "call_1", "name": "g", "input": {"INVALID_JSON": '{"cut'}},
    ]
    assert (document["type"], document["stop_reason"]) == ("message", "tool_use")
    assert document["usage"]["output_tokens"] == 3
    assert "usage" not in msgspec.json.decode(renderer().whole([TextChunk("a")]))


@pytest.mark.parametrize(
    ("status", "type"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (418, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_error_bodies(status: int, type: str) -> None:
    body = WIRE.error_body(ErrorInfo(status=status, message="Slow", code="rate", param="p"))
    assert msgspec.json.decode(body) == {
        "type": "error",
        "error": {"type": type, "message": "Slow"},
        "request_id": "req_simulated",
    }


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("context_length_exceeded", "prompt is too long"),
        ("content_policy_violation", "content filtering policy"),
    ],
)
def test_error_codes_become_messages(code: str, words: str) -> None:
    body = WIRE.error_body(ErrorInfo(status=400, message="x", code=code))
    assert words in msgspec.json.decode(body)["error"]["message"]


@pytest.mark.parametrize(
    ("settings", "reports"),
    [("tokens=3", True), ("hang", True), ("nousage", False), ("hang,nousage", False)],
)
def test_script_knows_if_it_reports_usage(settings: str, reports: bool) -> None:
    question = ModelCall(
        upstream_model=f"sim:{settings}", messages=read_messages([HI]), parameters={}
    )
    assert script(question).has_usage is reports
