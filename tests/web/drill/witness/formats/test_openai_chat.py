"""Chat Completions as served by the simulated provider."""

import contextlib

import msgspec
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
from web.drill.witness.formats.openai_chat import WIRE
from web.http.api_error import ApiError

PLAIN = b'{"model":"sim","messages":[{"role":"user"}],"stream":true}'
BODY = PLAIN[:-1] + b',"stream_options":{"include_usage":true}}'

_PATH = "/v1/chat/completions"


def renderer(body: bytes = PLAIN) -> Renderer:
    return WIRE.renderer(WIRE.read(_PATH, body), 7, 1000)


def events(frames: bytes) -> list[dict[str, object]]:
    *found, rest = frames.split(b"\n\n")
    assert rest == b""
    decoder = msgspec.json.Decoder(dict[str, object])
    return [decoder.decode(event.removeprefix(b"data: ")) for event in found]


def test_request_is_read() -> None:
    ask = WIRE.read(
        _PATH,
        b'{"model":"m","messages":[{"role":"user"}],"user":"u","metadata":{"a":1},'
        b'"temperature":0.5,"stream":true}',
    )
    assert ask.call.upstream_model == "m"
    assert write_messages(ask.call.messages) == [{"role": "user", "content": None}]
    assert ask.call.parameters == {"user": "u", "metadata": {"a": 1}, "temperature": 0.5}
    assert (ask.stream, ask.include_usage) == (True, False)
    assert (ask.user, ask.metadata) == ("u", {"a": 1})


@pytest.mark.parametrize(
    ("body", "complaint", "param"),
    [
        (b"", "not valid JSON", None),
        (b"[1]", "must be a JSON object", None),
        (b'"\xff"', "must be a JSON object", None),
        (b"[" * 100_000, "must be a JSON object", None),
        (b"{}", "field required", "model"),
        (b'{"model":"m","messages":[1]}', "must be an object", "messages[0]"),
    ],
)
def test_invalid_request_is_rejected(body: bytes, complaint: str, param: str | None) -> None:
    with pytest.raises(ApiError, match=complaint) as problem:
        WIRE.read(_PATH, body)
    assert problem.value.info.param == param


@given(st.binary())
def test_any_body_is_read_or_rejected(body: bytes) -> None:
    with contextlib.suppress(ApiError):
        assert isinstance(WIRE.read(_PATH, body), IncomingCall)


@given(st.lists(st.text(), min_size=1))
def test_text_round_trips(texts: list[str]) -> None:
    render = renderer()
    frames = b"".join(render.frame(TextChunk(text)) for text in texts)
    first, *rest = [event["choices"][0]["delta"] for event in events(frames)]  # type: ignore[index]
    assert first == {"role": "assistant", "content": ""}
    assert rest == [{"content": text} for text in texts]


def test_later_piece_of_a_call_has_no_id() -> None:
    render = renderer()
    render.frame(ToolCallChunk(1, "call_1", "f", "{"))
    (event,) = events(render.frame(ToolCallChunk(1, None, None, "}")))
    piece = {"index": 1, "function": {"arguments": "}"}}
    assert event["choices"][0]["delta"] == {"tool_calls": [piece]}  # type: ignore[index]


@pytest.mark.parametrize(
    ("chunk", "choice"),
    [
        (ReasoningChunk("hm"), {"delta": {"reasoning_content": "hm"}}),
        (RefusalChunk("no"), {"delta": {"refusal": "no"}}),
        (
            ToolCallChunk(1, "call_1", "f", "{"),
            {
                "delta": {
                    "tool_calls": [
                        {
                            "index": 1,
                            "id": "call_1",
                            "type": "function",
                            "function": {"name": "f", "arguments": "{"},
                        }
                    ]
                }
            },
        ),
        (FinishChunk(Reason.TOOL_CALLS), {"delta": {}, "finish_reason": "tool_calls"}),
    ],
)
def test_frame(chunk: Chunk, choice: dict[str, object]) -> None:
    _, event = events(renderer().frame(chunk))
    plain = {"index": 0, "finish_reason": None}
    assert event == {
        "id": "chatcmpl-simulated_7",
        "object": "chat.completion.chunk",
        "created": 1000,
        "model": "sim",
        "choices": [plain | choice],
    }


def test_usage_is_sent_only_on_request() -> None:
    chunk = UsageChunk(Usage(input_tokens=2, output_tokens=3, reasoning_tokens=1))
    render = renderer(BODY)
    assert render.frame(FinishChunk(Reason.STOP)) == b""
    event = events(render.frame(chunk))[-1]
    assert event["choices"] == []
    assert event["usage"] == {
        "prompt_tokens": 2,
        "completion_tokens": 3,
        "total_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }
    silent = renderer(PLAIN)
    silent.frame(TextChunk("a"))
    assert silent.frame(chunk) == b""


def test_faulty_frames() -> None:
    render = renderer()
    render.frame(TextChunk("a"))
    for wrong in (render.torn_frame(TextChunk(" whole")), render.frame(SkippedChunk("?"))):
        assert wrong.endswith(b"\n\n")
        with pytest.raises(msgspec.DecodeError):
            events(wrong)
    assert b'"content":" whole' in render.torn_frame(TextChunk(" whole"))
    assert b"\n" not in render.half_frame()
    assert b"content" not in render.half_frame()
    (error,) = events(render.error_frame("overloaded"))
    assert error["error"]["code"] == "overloaded"  # type: ignore[index]


def test_non_streaming_answer() -> None:
    body = renderer().whole(
        [
            ReasoningChunk("h"),
            ReasoningChunk("m"),
            ToolCallChunk(0, "call_0", "f", "{"),
            ToolCallChunk(0, None, None, "}"),
            ToolCallChunk(1, "call_1", "g", "{}"),
            FinishChunk(Reason.TOOL_CALLS),
            UsageChunk(Usage(input_tokens=1, output_tokens=5)),
        ]
    )
    document = msgspec.json.decode(body, type=dict[str, object])
    assert document["object"] == "chat.completion"
    choice = document["choices"][0]  # type: ignore[index]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "reasoning_content": "hm",
        "tool_calls": [
            {"id": "call_0", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "call_1", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ],
    }


def test_error_body() -> None:
    error = ErrorInfo(status=429, message="Slow", type="limit_error", code="rate", param="p")
    assert msgspec.json.decode(WIRE.error_body(error)) == {
        "error": {
            "message": "Slow",
            "type": "limit_error",
            "param": "p",
            "code": "rate",
        }
    }
