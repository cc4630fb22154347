"""Tests of the Chat Completions decoder: frames to chunks, independent of where bytes are cut."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.providers.formats.openai_chat.decoder import (
    OPENAI_CHAT,
    OpenAIChatDecoder,
    OpenAIWholeDecoder,
)
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
from actors.turn.outcome import Reason, Usage
from tests.support.decoder_feeds import (
    CUTS,
    Drained,
    check_any,
    cut_everywhere,
    decode_document,
    drained,
    failed,
    json_with,
)
from tests.support.scripted_connections import pieces_of

STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
HELLO = b'data: {"choices":[{"delta":{"content":"Hello"}}]}\n\n'


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def delta(finish: str | None = None, **fields: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]})


def decode(*events: bytes) -> Drained:
    return drained(OpenAIChatDecoder(), [b"".join(events)])


def chunks_of(*events: bytes) -> list[Chunk]:
    """Return the chunks of a valid answer, without the finish that is added to the events."""
    chunks, failure = decode(*events, STOP, DONE)
    assert failure is None
    called = any(isinstance(chunk, ToolCallChunk) for chunk in chunks)
    assert chunks.pop() == FinishChunk(Reason.TOOL_CALLS if called else Reason.STOP)
    return chunks


def failure_of(*events: bytes) -> tuple[list[Chunk], UpstreamFailure]:
    return failed(OpenAIChatDecoder(), [b"".join(events)])


ANSWER = b"".join(
    [
        delta(role="assistant", content=None, refusal=None),
        delta(reasoning_content="hm"),
        delta(reasoning="hm"),
        b": ping\n\n",
        delta(content="Grü"),
        delta(content="ß €"),
        delta(content=""),
        delta(refusal="no"),
        delta(tool_calls=[{"index": 0, "id": "c1", "function": {"name": "f", "arguments": ""}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": '{"a'}}]),
        delta(
            tool_calls=[
                {"index": 1, "id": "c2", "function": {"name": "g", "arguments": "{}"}},
                {"index": 0, "function": {"arguments": '":1}'}},
            ]
        ),
        delta("tool_calls"),
        event({"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 9}}),
        DONE,
        b"data: nobody reads this\n\n",
    ]
)
CHUNKS: list[Chunk] = [
    ReasoningChunk("hm"),
    ReasoningChunk("hm"),
    TextChunk("Grü"),
    TextChunk("ß €"),
    RefusalChunk("no"),
    ToolCallChunk(0, "c1", "f", ""),
    ToolCallChunk(0, None, None, '{"a'),
    ToolCallChunk(1, "c2", "g", "{}"),
    ToolCallChunk(0, None, None, '":1}'),
    FinishChunk(Reason.TOOL_CALLS),
    UsageChunk(Usage(input_tokens=0, output_tokens=9)),
]


def test_an_answer_cut_everywhere() -> None:
    assert cut_everywhere(OpenAIChatDecoder, ANSWER) == (CHUNKS, None)


@given(st.lists(st.text(min_size=1), max_size=8), CUTS, st.sampled_from(["\n", "\r\n", "\r"]))
def test_any_text_survives_any_cut(texts: list[str], cuts: list[int], newline: str) -> None:
    stream = b"".join(delta(content=text) for text in texts) + STOP
    chunks, failure = drained(
        OpenAIChatDecoder(), pieces_of(stream.replace(b"\n", newline.encode()), cuts)
    )
    assert failure is None
    assert chunks == [*map(TextChunk, texts), FinishChunk(Reason.STOP)]


JSON = json_with(
    "choices", "delta", "content", "usage", "tool_calls", "function", "error",
    "index", "message", "finish_reason", "prompt_tokens", "id", "arguments",
)  # fmt: skip


@given(st.lists(JSON, max_size=4), st.binary(max_size=30), CUTS)
def test_no_frame_breaks_the_decoder(frames: list[Any], junk: bytes, cuts: list[int]) -> None:
    stream = b"".join(map(event, frames)) + b"data: " + junk + b"\n\n"
    check_any(OpenAIChatDecoder, stream, cuts)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", Reason.STOP),
        ("length", Reason.LENGTH),
        ("tool_calls", Reason.TOOL_CALLS),
        ("function_call", Reason.TOOL_CALLS),
        ("content_filter", Reason.CONTENT_FILTER),
        ("eos_token", Reason.STOP),
    ],
)
def test_finish_reasons(word: str, reason: Reason) -> None:
    assert decode(delta(word, content="x")) == ([TextChunk("x"), FinishChunk(reason)], None)


def test_only_the_first_finish_counts() -> None:
    assert decode(delta("length") + delta("stop") + DONE) == ([FinishChunk(Reason.LENGTH)], None)


def test_usage_before_with_and_after_the_finish() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 0}
    seen = UsageChunk(Usage(input_tokens=3, output_tokens=0))
    finish = FinishChunk(Reason.STOP)
    last = {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": usage}
    assert decode(event({"usage": usage}) + STOP) == ([seen, finish], None)
    assert decode(event(last)) == ([seen, finish], None)
    assert decode(STOP + event({"choices": None, "usage": usage})) == ([finish, seen], None)


def test_usage_in_detail_or_not_at_all() -> None:
    usage = {
        "prompt_tokens": 5,
        "completion_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    assert chunks_of(event({"usage": usage})) == [
        UsageChunk(
            Usage(input_tokens=5, output_tokens=7, cached_input_tokens=4, reasoning_tokens=2)
        )
    ]
    assert chunks_of(event({"usage": None}), event({"usage": {"prompt_tokens": 5}})) == []
    assert chunks_of(event({"usage": {"prompt_tokens": -1, "completion_tokens": 1}})) == []


@pytest.mark.parametrize("absurd", [2**53 + 1, 10**20, 1e300])
def test_excessive_numbers_are_left_out(absurd: float) -> None:
    """A number beyond 64 bits can't be stored, and would lose the final record."""
    usage = {"prompt_tokens": absurd, "completion_tokens": 1}
    last = event({"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": usage})
    assert decode(last) == ([FinishChunk(Reason.STOP)], None)
    assert chunks_of(delta(tool_calls=[{"index": absurd, "id": "a"}])) == [
        ToolCallChunk(0, "a", None, "")
    ]


def test_logprobs_stay_as_they_are() -> None:
    logprobs = b'{"content": [{"token": "a",  "logprob": -0.50}]}'
    frame = b'data: {"choices":[{"delta":{"content":"a"},"logprobs":%s}]}\n\n'
    (chunk,) = chunks_of(frame % logprobs)
    assert isinstance(chunk, TextChunk)
    assert chunk.logprobs is not None
    assert chunk.logprobs.encode() == logprobs
    assert chunks_of(event({"choices": [{"delta": {"content": "a"}, "logprobs": None}]})) == [
        TextChunk("a")
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_logprobs_over_several_lines_come_in_one(end: str) -> None:
    lines = '{"choices":[{"delta":{"content":"a"},"logprobs":{', ' "content": [-0.50]', "}}]}"
    frame = "".join(f"data: {line}{end}" for line in lines) + end
    assert chunks_of(frame.encode()) == [TextChunk("a", '{"content":[-0.50]}')]


def test_logprobs_that_are_not_utf_8_do_not_crash() -> None:
    odd = b'data: {"choices":[{"delta":{"content":"a"},"logprobs":{"x":"\xff"}}]}\n\n'
    assert chunks_of(odd) == [TextChunk("a", '{"x":"\ufffd"}')]


def test_tool_calls_without_index_are_distinguished_by_id() -> None:
    def call(id: str) -> dict[str, Any]:
        return {"id": id, "function": {"name": id, "arguments": "{}"}}

    assert chunks_of(delta(tool_calls=[call("a")]), delta(tool_calls=[call("b")])) == [
        ToolCallChunk(0, "a", "a", "{}"),
        ToolCallChunk(1, "b", "b", "{}"),
    ]


def test_the_old_function_call() -> None:
    assert chunks_of(
        delta(function_call={"name": "f", "arguments": ""}), delta(function_call={"arguments": "1"})
    ) == [ToolCallChunk(0, None, "f", ""), ToolCallChunk(0, None, None, "1")]


def test_other_choices_are_ignored() -> None:
    assert chunks_of(event({"choices": [{"index": 1, "delta": {"content": "other"}}]})) == []


def test_wrong_types_beside_text_are_tolerated() -> None:
    assert chunks_of(
        event({"choices": [{"index": "0", "delta": {"content": "a", "role": 5}, "logprobs": 3}]}),
        event({"choices": [{"delta": {"content": "b", "tool_calls": "none"}}], "usage": "no"}),
        event({"choices": [{"delta": {"content": [{"type": "text", "text": "c"}]}}, 7]}),
        event({"choices": [{"delta": {"tool_calls": [{"function": {"arguments": {"a": 1}}}]}}]}),
    ) == [
        TextChunk("a", "3"),
        TextChunk("b"),
        TextChunk("c"),
        ToolCallChunk(0, None, None, '{"a":1}'),
    ]


@pytest.mark.parametrize(
    "data",
    ["keep-alive", "17", "[]", '{"choices": 3}', '{"choices":[{"delta":{"content":5}}]}',
     '{"choices":[{"delta":{"content":"', '{"choices":[{"delta":{"role":"x', "\x00"],
)  # fmt: skip
def test_a_frame_without_text_is_skipped(data: str) -> None:
    chunks = chunks_of(HELLO, b"data: " + data.encode() + b"\n\n")
    assert chunks[0] == TextChunk("Hello")
    assert [type(chunk) for chunk in chunks[1:]] == [SkippedChunk]


@pytest.mark.parametrize(
    "data",
    [
        b'{"choices":[{"delta":{"content":"lost',
        b'{"choices":[{"delta":{"content" : "lost"}}]',
        b'{"choices":[{"delta":{"content":"\xff"}}]}',
        b'{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{',
    ],
)
def test_a_malformed_frame_with_text_fails_after_what_came_before(data: bytes) -> None:
    chunks, failure = failure_of(HELLO, b"data: " + data + b"\n\n", HELLO, STOP)
    assert chunks == [TextChunk("Hello")]
    assert failure.kind is FailureKind.MALFORMED


@pytest.mark.parametrize(
    ("frame", "message", "code", "status"),
    [
        (b'data: {"error":{"message":"busy","code":502,"type":"t"}}\n\n', "busy", None, 502),
        (b'data: {"error":"busy"}\n\n', "busy", None, None),
        (b'data: {"object":"error","message":"busy","code":"x"}\n\n', "busy", "x", None),
        (b'event: error\ndata: {"message":"busy"}\n\n', "busy", None, None),
        (b'event: error\ndata: {"error":{"message":"busy"}}\n\n', "busy", None, None),
        (b"event: error\ndata: oh\n\n", "oh", None, None),
        (
            b'data: {"choices":[{"delta":{},"finish_reason":"error",'
            b'"error":{"code":429,"message":"busy"}}]}\n\n',
            "busy",
            None,
            429,
        ),
        (b'data: {"error":{}}\n\n', "the provider reported an error", None, None),
    ],
)
def test_errors_in_the_stream(
    frame: bytes, message: str, code: str | None, status: int | None
) -> None:
    chunks, failure = failure_of(HELLO, frame, STOP)
    assert chunks == [TextChunk("Hello")]
    assert (failure.kind, failure.message) == (FailureKind.IN_STREAM_ERROR, message)
    assert (failure.code, failure.status) == (code, status)


def test_null_error_is_not_a_failure() -> None:
    assert chunks_of(event({"error": None, "choices": [{"delta": {"content": "a"}}]})) == [
        TextChunk("a")
    ]


def test_the_finish_reason_error_fails_after_its_text() -> None:
    chunks, failure = failure_of(delta("error", content="a"))
    assert chunks == [TextChunk("a")]
    assert failure.kind is FailureKind.IN_STREAM_ERROR


def test_failure_is_raised_by_the_next_call_and_all_later_ones() -> None:
    decoder = OpenAIChatDecoder()
    assert decoder.feed(HELLO + b'data: {"error":"x"}\n\n') == [TextChunk("Hello")]
    assert decoder.over
    assert not decoder.saw_end_marker
    for _ in range(2):
        with pytest.raises(UpstreamFailure):
            decoder.feed(STOP)
        with pytest.raises(UpstreamFailure):
            decoder.end()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}],
            [ReasoningChunk("hm")],
        ),
        (
            [
                {"type": "thinking", "thinking": "hm", "closed": True},
                {"type": "text", "text": "a"},
                {"type": "reference", "reference_ids": [1]},
                {"type": "text", "text": "b"},
            ],
            [ReasoningChunk("hm"), TextChunk("a"), TextChunk("b")],
        ),
        (
            [{"type": "reasoning", "text": "hm"}, "odd", {"type": 1, "text": "a"}, None],
            [ReasoningChunk("hm"), TextChunk("a")],
        ),
        (
            [{"type": "thinking", "thinking": [{"text": ["odd"]}, {"text": "hm"}, 3]}],
            [ReasoningChunk("hm")],
        ),
        ([{"type": "text", "text": ""}, {"type": "thinking", "thinking": []}], []),
    ],
)
def test_thinking_in_content_parts_is_reasoning(
    content: list[object], expected: list[Chunk]
) -> None:
    frame = json.dumps({"choices": [{"delta": {"content": content}}]}).encode()
    chunks = chunks_of(b"data: %b\n\n" % frame)
    assert [one for one in chunks if not isinstance(one, SkippedChunk)] == expected
    document = {"choices": [{"message": {"content": content}, "finish_reason": "stop"}]}
    found, _ = whole(json.dumps(document).encode())
    assert [one for one in found if isinstance(one, ReasoningChunk | TextChunk)] == expected


def test_end_without_finish_reason_is_truncation() -> None:
    for stream in (HELLO, HELLO + b'data: {"choices":[{"del', b""):
        chunks, failure = failure_of(stream)
        assert chunks == [TextChunk("Hello")][: len(stream)]
        assert failure.kind is FailureKind.TRUNCATED


def test_end_mark_and_last_line_are_optional() -> None:
    assert decode(STOP) == ([FinishChunk(Reason.STOP)], None)
    assert decode(STOP[:-2]) == ([FinishChunk(Reason.STOP)], None)
    assert decode(STOP + DONE[:-2]) == ([FinishChunk(Reason.STOP)], None)


def test_messages_are_scrubbed() -> None:
    decoder = OpenAIChatDecoder(lambda text: text.replace("sk-1", "[secret]"))
    with pytest.raises(UpstreamFailure, match=r"^bad \[secret\]$"):
        decoder.feed(b'data: {"error":{"message":"bad sk-1"}}\n\n')


def whole(document: bytes) -> tuple[list[Chunk], FailureKind | None]:
    return decode_document(OpenAIWholeDecoder(), document)


def test_complete_answer_document() -> None:
    message = {
        "role": "assistant",
        "content": "Hi",
        "reasoning_content": "hm",
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ],
    }
    document = {
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    }
    assert whole(json.dumps(document).encode()) == (
        [
            UsageChunk(Usage(input_tokens=1, output_tokens=2)),
            ReasoningChunk("hm"),
            TextChunk("Hi"),
            ToolCallChunk(0, "a", "f", "{}"),
            ToolCallChunk(1, "b", "g", "{}"),
            FinishChunk(Reason.TOOL_CALLS),
        ],
        None,
    )


def test_document_that_is_not_an_answer() -> None:
    assert whole(b'{"error":{"message":"x"}}') == ([], FailureKind.IN_STREAM_ERROR)
    assert whole(b'{"choices":[{"message":{"content":""}}]}') == ([], FailureKind.TRUNCATED)
    assert whole(b'{"choices":[{"message":{"content":"a')[1] is FailureKind.MALFORMED
    assert whole(b"")[1] is FailureKind.TRUNCATED
    assert whole(b" " * (8 * 2**20 + 1))[1] is FailureKind.MALFORMED


def test_request_contains_all_client_parameters() -> None:
    call = ModelCall(
        upstream_model="gpt",
        messages=read_messages(
            [{"role": "user", "content": [{"type": "text", "text": "ü"}], "name": "x"}]
        ),
        parameters={
            "temperature": 0,
            "tools": [{"type": "function"}],
            "odd": {"a": [1]},
            "seed": 3,
        },
    )
    parts = OPENAI_CHAT.build(call, "sk-1")
    assert parts.path == "/chat/completions"
    assert dict(parts.headers)["authorization"] == "Bearer sk-1"
    assert msgspec.json.decode(parts.body) == {
        "model": "gpt",
        "messages": write_messages(call.messages),
        "stream": True,
        "stream_options": {"include_usage": True},
        **call.parameters,
    }
    assert "authorization" not in dict(OPENAI_CHAT.build(call, None).headers)


def test_negative_usage_details_are_ignored() -> None:
    usage = {
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "prompt_tokens_details": {"cached_tokens": -50},
        "completion_tokens_details": {"reasoning_tokens": -7},
    }
    (chunk,) = chunks_of(event({"choices": [], "usage": usage}))
    assert chunk == UsageChunk(Usage(input_tokens=3, output_tokens=2))


def test_a_frame_that_is_nested_too_deeply_is_skipped() -> None:
    deep = b"data: " + b"[" * 100_000 + b"\n\n"
    text, skipped = chunks_of(event({"choices": [{"delta": {"content": "a"}}]}), deep)
    assert text == TextChunk("a")
    assert isinstance(skipped, SkippedChunk)


def test_content_of_the_last_frame_precedes_its_failure() -> None:
    failing = {"choices": [{"message": {"content": "a"}, "finish_reason": "error"}]}
    assert whole(json.dumps(failing).encode()) == ([TextChunk("a")], FailureKind.IN_STREAM_ERROR)
    chunks, failure = failure_of(delta("error", content="a")[:-2])
    assert chunks == [TextChunk("a")]
    assert failure.kind is FailureKind.IN_STREAM_ERROR
