"""Gemini's API as served by the simulated provider, checked with the SDK's types."""

import contextlib
from typing import Any

import msgspec
import pytest
from google.genai import types
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
from web.drill.witness.formats.gemini import WIRE
from web.http.api_error import ApiError

PATH = "/v1beta/models/sim:streamGenerateContent"
EVENTS = f"{PATH}?alt=sse"
BODY = b'{"contents":[{"role":"user","parts":[{"text":"Who is there?"}]}]}'
META = {"modelVersion": "sim", "responseId": "simulated-7"}
SO_FAR = {"usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4}}
USAGE = UsageChunk(Usage(input_tokens=4, output_tokens=5, reasoning_tokens=2))
COUNTS = {
    "promptTokenCount": 4,
    "candidatesTokenCount": 3,
    "thoughtsTokenCount": 2,
    "totalTokenCount": 9,
}


def read(path: str = EVENTS, **fields: Any) -> IncomingCall:
    document = msgspec.json.decode(BODY) | fields
    return WIRE.read(path, msgspec.json.encode(document))


def renderer(path: str = EVENTS, *, usage: bool = True) -> Renderer:
    ask = msgspec.structs.replace(read(path), include_usage=usage)
    return WIRE.renderer(ask, 7, 1000)


def checked(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document after the SDK has accepted it without unknown fields."""
    types.GenerateContentResponse.model_validate(document)
    return document


def events(frames: bytes) -> list[dict[str, Any]]:
    *found, rest = frames.split(b"\r\n\r\n")
    assert rest == b""
    return [checked(msgspec.json.decode(event.removeprefix(b"data: "))) for event in found]


def parts(frames: bytes) -> list[Any]:
    return [part for one in events(frames) for part in one["candidates"][0]["content"]["parts"]]


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("/v1beta/models/sim:generateContent", True),
        ("/v1beta/models/sim:tool=2,delay=0:streamGenerateContent", True),
        ("/v1/models/sim%3Atool:streamGenerateContent", True),
        ("/v1alpha/models/a:generateContent", True),
        ("/v1beta/models/sim", False),
        ("/v1beta/models/:generateContent", False),
        ("/v1beta/models/a/b:generateContent", False),
        ("/v1beta/models/sim:countTokens", False),
        ("/v1/models", False),
    ],
)
def test_paths_are_recognised(path: str, taken: bool) -> None:
    assert WIRE.matches(path) == taken


def test_path_holds_model_and_stream_type() -> None:
    whole = read("/v1beta/models/sim:tool=2,a%20b:generateContent")
    assert whole.call.upstream_model == "sim:tool=2,a b"
    assert not whole.stream
    assert (read(EVENTS).stream, read(EVENTS).stream_type) == (True, "text/event-stream")
    assert (read(PATH).stream, read(PATH).stream_type) == (True, "application/json; charset=UTF-8")
    assert read("/v1/models/sim%3Aecho:generateContent").call.upstream_model == "sim:echo"


def test_conversation_is_read() -> None:
    contents = [
        {"parts": [{"text": "a"}]},
        {
            "role": "model",
            "parts": [
                {"text": "hm", "thought": True},
                {"text": "b"},
                {"functionCall": {"id": "c1", "name": "f", "args": {"x": 1}}},
                {"functionCall": {"name": "g"}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "c1", "name": "f", "response": {"output": "1"}}},
                {"functionResponse": {"name": "g", "response": {"y": [2]}}},
                {"text": "look"},
                {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
                {"fileData": {"fileUri": "https://a.test/b"}},
            ],
        },
        {"role": "model", "parts": [{"text": "Once"}]},
    ]
    ask = read(contents=contents, systemInstruction={"parts": [{"text": "s"}, {"text": "t"}]})
    assert write_messages(ask.call.messages) == [
        {"role": "system", "content": "s"},
        {"role": "system", "content": "t"},
        {"role": "user", "content": "a"},
        {
            "role": "assistant",
            "content": "b",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
                {
                    "id": "call_3_1",
                    "type": "function",
                    "function": {"name": "g", "arguments": "{}"},
                },
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "1"},
        {"role": "tool", "tool_call_id": "call_3_1", "content": '{"y":[2]}'},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
                {"type": "image_url", "image_url": {"url": "https://a.test/b"}},
            ],
        },
        {"role": "assistant", "content": "Once"},
    ]


def _call(id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_parameters_are_read_in_both_spellings() -> None:
    schema = {"type": "OBJECT", "properties": {"type": {"type": "STRING", "nullable": True}}}
    ask = read(
        generation_config={"max_output_tokens": 5, "stopSequences": ["x"], "topK": 3, "seed": 1},
        tools=[
            {
                "functionDeclarations": [
                    {"name": "f", "description": "d", "parameters": schema},
                    {"name": "g", "parameters_json_schema": {"type": "object"}},
                    {"name": "h"},
                ]
            },
            {"googleSearch": {}},
        ],
        toolConfig={"functionCallingConfig": {"mode": "ANY"}},
        safetySettings=[],
    )
    lower = {"type": "object", "properties": {"type": {"type": "string", "nullable": True}}}
    assert ask.call.parameters == {
        "max_tokens": 5,
        "stop": ["x"],
        "top_k": 3,
        "seed": 1,
        "tools": [
            {
                "type": "function",
                "function": {"name": "f", "description": "d", "parameters": lower},
            },
            {"type": "function", "function": {"name": "g", "parameters": {"type": "object"}}},
            {"type": "function", "function": {"name": "h"}},
        ],
        "tool_choice": "required",
    }


@pytest.mark.parametrize(
    ("config", "choice"),
    [
        ({"mode": "AUTO"}, "auto"),
        ({"mode": "NONE"}, "none"),
        ({"mode": "ANY", "allowedFunctionNames": ["a", "b"]}, "required"),
        (
            {"mode": "ANY", "allowedFunctionNames": ["a"]},
            {"type": "function", "function": {"name": "a"}},
        ),
        ({"mode": "ODD"}, None),
    ],
)
def test_tool_choice_is_read(config: dict[str, Any], choice: Any) -> None:
    ask = read(toolConfig={"functionCallingConfig": config})
    assert ask.call.parameters.get("tool_choice") == choice


def test_response_formats_are_read() -> None:
    def wanted(**config: Any) -> Any:
        return read(generationConfig=config).call.parameters.get("response_format")

    assert wanted(responseMimeType="text/plain") is None
    assert wanted(responseMimeType="application/json") == {"type": "json_object"}
    for config in (
        {"responseJsonSchema": {"type": "object"}},
        {"responseSchema": {"type": "OBJECT"}},
    ):
        found = wanted(responseMimeType="application/json", **config)
        assert found["type"] == "json_schema"
        assert found["json_schema"]["schema"] == {"type": "object"}


@pytest.mark.parametrize(
    ("body", "complaint", "param"),
    [
        (b"", "not valid JSON", None),
        (b"[1]", "must be a JSON object", None),
        (b"[" * 100_000, "must be a JSON object", None),
        (b"{}", "field required", "contents"),
        (b'{"contents":[]}', "at least 1 item", "contents"),
        (b'{"contents":[5]}', "valid dictionary", "contents[0]"),
        (b'{"contents":[{"parts":[]}]}', "at least 1 item", "contents[0].parts"),
        (
            b'{"contents":[{"role":"tool","parts":[{}]}]}',
            "should be 'user', 'model'",
            "contents[0].role",
        ),
        (b'{"contents":[{"parts":[{}]}],"stream":true}', "not permitted", "stream"),
    ],
)
def test_invalid_request_is_rejected(body: bytes, complaint: str, param: str | None) -> None:
    with pytest.raises(ApiError, match=complaint) as problem:
        WIRE.read(EVENTS, body)
    assert problem.value.info.param == param


def test_deep_schema_does_not_crash() -> None:
    schema = b'{"items":' * 900 + b"5" + b"}" * 900
    declared = b'[{"functionDeclarations":[{"name":"f","parameters":%b}]}]' % schema
    with contextlib.suppress(ApiError):
        WIRE.read(EVENTS, BODY[:-1] + b',"tools":%b}' % declared)


FIELDS = ["contents", "systemInstruction", "tools", "toolConfig", "generationConfig"]
ANYTHING = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["parts", "role", "text", "functionCall", "functionResponse", "name",
                         "args", "response", "functionDeclarations", "parameters",
                         "functionCallingConfig", "mode", "responseSchema", "inlineData", "id"]),
        inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(
    st.dictionaries(
        st.sampled_from(
            ["contents", "systemInstruction", "tools", "toolConfig", "generationConfig"]
        ),
        ANYTHING,
    )
)
def test_any_document_is_read_or_rejected(document: dict[str, Any]) -> None:
    for body in (document, {"contents": [{"parts": [{"text": "a"}]}]} | document):
        with contextlib.suppress(ApiError):
            assert isinstance(WIRE.read(EVENTS, msgspec.json.encode(body)), IncomingCall)


@given(st.binary())
def test_any_body_is_read_or_rejected(body: bytes) -> None:
    with contextlib.suppress(ApiError):
        assert isinstance(WIRE.read(EVENTS, body), IncomingCall)


@given(st.lists(st.text(), min_size=1))
def test_text_round_trips(texts: list[str]) -> None:
    render = renderer()
    frames = b"".join(render.frame(TextChunk(text)) for text in texts)
    assert parts(frames) == [{"text": text} for text in texts]


@pytest.mark.parametrize(
    ("chunk", "part"),
    [
        (TextChunk("Hi"), {"text": "Hi"}),
        (RefusalChunk("no"), {"text": "no"}),
        (ReasoningChunk("hm"), {"text": "hm", "thought": True}),
    ],
)
def test_frames(chunk: Chunk, part: dict[str, Any]) -> None:
    content = {"parts": [part], "role": "model"}
    (event,) = events(renderer().frame(chunk))
    assert event == {"candidates": [{"content": content, "index": 0}], **SO_FAR, **META}
    (silent,) = events(renderer(usage=False).frame(chunk))
    assert "usageMetadata" not in silent


def test_tool_calls_are_sent_complete_and_in_order() -> None:
    render = renderer()
    pieces = [
        ToolCallChunk(0, "c0", "f", '{"a"'),
        ToolCallChunk(0, None, None, ":1}"),
        ToolCallChunk(1, "c1", "g", "{}"),
    ]
    frames = [render.frame(piece) for piece in pieces]
    assert frames[:2] == [b"", b""]
    assert parts(frames[2]) == [{"functionCall": {"id": "c0", "name": "f", "args": {"a": 1}}}]
    assert render.frame(FinishChunk(Reason.TOOL_CALLS)) == b""
    assert parts(render.frame(USAGE)) == [
        {"functionCall": {"id": "c1", "name": "g", "args": {}}},
        {"text": ""},
    ]


def test_truncated_tool_call_is_not_sent() -> None:
    render = renderer(usage=False)
    assert render.frame(ToolCallChunk(0, "c0", "f", '{"a"')) == b""
    (last,) = events(render.frame(FinishChunk(Reason.LENGTH)))
    assert last["candidates"][0]["finishReason"] == "MAX_TOKENS"


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        (Reason.STOP, "STOP"),
        (Reason.TOOL_CALLS, "STOP"),
        (Reason.LENGTH, "MAX_TOKENS"),
        (Reason.CONTENT_FILTER, "SAFETY"),
    ],
)
def test_finish_and_usage_are_one_frame(reason: Reason, word: str) -> None:
    render = renderer()
    render.frame(TextChunk("a"))
    assert render.frame(FinishChunk(reason)) == b""
    (event,) = events(render.frame(USAGE))
    content = {"parts": [{"text": ""}], "role": "model"}
    candidate = {"content": content, "finishReason": word, "index": 0}
    assert event == {"candidates": [candidate], "usageMetadata": COUNTS, **META}
    assert render.end() == b""


def test_filter_before_any_text_blocks_the_prompt() -> None:
    (event,) = events(renderer(usage=False).frame(FinishChunk(Reason.CONTENT_FILTER)))
    assert event == {"promptFeedback": {"blockReason": "SAFETY"}, **META}


def test_stream_without_sse_is_an_array() -> None:
    render = renderer(PATH)
    assert render.end() == b"[]"
    stream = render.frame(TextChunk("a")) + render.frame(TextChunk("b"))
    stream += render.frame(FinishChunk(Reason.STOP)) + render.frame(USAGE) + render.end()
    documents = [checked(one) for one in msgspec.json.decode(stream)]
    texts = [one["candidates"][0]["content"]["parts"][0]["text"] for one in documents]
    assert texts == ["a", "b", ""]
    assert documents[-1]["usageMetadata"] == COUNTS
    failing = renderer(PATH)
    document = msgspec.json.decode(failing.error_frame("late") + failing.end())
    assert document[0]["error"]["code"] == 500


@pytest.mark.parametrize("path", [PATH, EVENTS])
def test_faulty_frames(path: str) -> None:
    render = renderer(path)
    render.frame(TextChunk("a"))
    torn_frame, odd = render.torn_frame(TextChunk(" whole")), render.frame(SkippedChunk("?"))
    for wrong in (torn_frame, odd, render.half_frame()):
        assert wrong.endswith(b"\r\n\r\n") == (path == EVENTS and wrong != render.half_frame())
        with pytest.raises(msgspec.DecodeError):
            msgspec.json.decode(wrong.removeprefix(b"data: ").removeprefix(b",\r\n").strip())
    assert torn_frame.rstrip().endswith(b'"text":" whole')
    assert b"text" not in odd + render.half_frame()


def test_error_in_a_stream() -> None:
    (event,) = [
        msgspec.json.decode(one.removeprefix(b"data: "))
        for one in renderer().error_frame("late").split(b"\r\n\r\n")
        if one
    ]
    assert event["error"]["status"] == "INTERNAL"
    assert event["error"]["details"][0]["reason"] == "late"


def test_non_streaming_answer() -> None:
    body = renderer("/v1beta/models/sim:generateContent").whole(
        [
            ReasoningChunk("h"),
            ReasoningChunk("m"),
            TextChunk("H"),
            TextChunk("i"),
            ToolCallChunk(0, "c0", "f", "{"),
            ToolCallChunk(0, None, None, "}"),
            ToolCallChunk(1, "c1", "g", "{}"),
            FinishChunk(Reason.TOOL_CALLS),
            USAGE,
        ]
    )
    document = checked(msgspec.json.decode(body))
    assert document["usageMetadata"] == COUNTS
    (candidate,) = document["candidates"]
    assert candidate["finishReason"] == "STOP"
    assert candidate["content"] == {
        "role": "model",
        "parts": [
            {"thought": True, "text": "hm"},
            {"text": "Hi"},
            {"functionCall": {"id": "c0", "name": "f", "args": {}}},
            {"functionCall": {"id": "c1", "name": "g", "args": {}}},
        ],
    }


def test_error_body() -> None:
    kind = "type.googleapis.com/google.rpc."
    rejection = ErrorInfo(status=429, message="Slow", code="rate", param="p", retry_after_s=2.5)
    assert msgspec.json.decode(WIRE.error_body(rejection)) == {
        "error": {
            "code": 429,
            "message": "Slow",
            "status": "RESOURCE_EXHAUSTED",
            "details": [
                {
                    "@type": f"{kind}BadRequest",
                    "fieldViolations": [{"field": "p", "description": "Slow"}],
                },
                {"@type": f"{kind}RetryInfo", "retryDelay": "2.5s"},
                {"@type": f"{kind}ErrorInfo", "reason": "rate", "domain": "trouper"},
            ],
        }
    }
    plain = WIRE.error_body(ErrorInfo(status=529, message="Busy"))
    assert msgspec.json.decode(plain) == {
        "error": {"code": 529, "message": "Busy", "status": "INTERNAL"}
    }
