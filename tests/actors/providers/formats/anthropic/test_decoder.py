"""Tests of the Anthropic decoder: Messages events to chunks, independent of where bytes are cut."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.providers.formats.anthropic.decoder import (
    ANTHROPIC,
    AnthropicDecoder,
    AnthropicWholeDecoder,
)
from actors.turn.chat_messages import read_messages
from actors.turn.chunks import (
    AnnotationChunk,
    Chunk,
    FinishChunk,
    NativeItemChunk,
    ReasoningChunk,
    ReasoningStateChunk,
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
)
from tests.support.scripted_connections import pieces_of


def event(type: str, **fields: Any) -> bytes:
    """Return an event as the API sends it, with its type also as its name."""
    data = json.dumps({"type": type, **fields}, ensure_ascii=False)
    return f"event: {type}\ndata: {data}\n\n".encode()


def start(index: int, type: str, **fields: Any) -> bytes:
    return event("content_block_start", index=index, content_block={"type": type, **fields})


def delta(index: int, type: str, **fields: Any) -> bytes:
    return event("content_block_delta", index=index, delta={"type": type, **fields})


def stop(index: int) -> bytes:
    return event("content_block_stop", index=index)


def text(said: str) -> bytes:
    return delta(0, "text_delta", text=said)


def ended(reason: str | None = "end_turn", **usage: Any) -> bytes:
    change = {"stop_reason": reason, "stop_sequence": None}
    return event("message_delta", delta=change, **({"usage": usage} if usage else {}))


def message_start(**usage: Any) -> bytes:
    message: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    return event("message_start", message=message)


PING = event("ping")
STOP = event("message_stop")
HELLO = text("Hello")


def decode(*events: bytes) -> Drained:
    return drained(AnthropicDecoder(), [b"".join(events)])


def chunks_of(*events: bytes) -> list[Chunk]:
    """Return the chunks of a valid answer, without the finish that is added to the events."""
    chunks, failure = decode(*events, ended(), STOP)
    assert failure is None
    called = any(isinstance(chunk, ToolCallChunk) for chunk in chunks)
    assert chunks.pop() == FinishChunk(Reason.TOOL_CALLS if called else Reason.STOP)
    return chunks


def failure_of(*events: bytes) -> tuple[list[Chunk], UpstreamFailure]:
    return failed(AnthropicDecoder(), [b"".join(events)])


ANSWER = b"".join(
    [
        message_start(
            input_tokens=5,
            cache_creation_input_tokens=20,
            cache_read_input_tokens=100,
            output_tokens=1,
        ),
        start(0, "thinking", thinking="", signature=""),
        PING,
        delta(0, "thinking_delta", thinking="hm"),
        delta(0, "thinking_delta", thinking=" hm"),
        delta(0, "signature_delta", signature="EqQB"),
        stop(0),
        start(1, "redacted_thinking", data="EmwK"),
        stop(1),
        start(2, "text", text=""),
        delta(2, "text_delta", text="Grü"),
        delta(2, "text_delta", text="ß €"),
        delta(2, "citations_delta", citation={"type": "page_location", "cited_text": "page"}),
        delta(2, "text_delta", text=""),
        stop(2),
        start(3, "tool_use", id="toolu_1", name="f", input={}),
        delta(3, "input_json_delta", partial_json=""),
        delta(3, "input_json_delta", partial_json='{"a'),
        delta(3, "input_json_delta", partial_json='":1}'),
        stop(3),
        start(4, "server_tool_use", id="srvtoolu_1", name="web_search", input={}),
        delta(4, "input_json_delta", partial_json='{"query":"x"}'),
        stop(4),
        start(5, "web_search_tool_result", tool_use_id="srvtoolu_1", content=[{"title": "t"}]),
        stop(5),
        start(6, "tool_use", id="toolu_2", name="g", input={}),
        stop(6),
        ended("tool_use", output_tokens=40, output_tokens_details={"thinking_tokens": 7}),
        STOP,
        text("nobody reads this"),
    ]
)
CHUNKS: list[Chunk] = [
    ReasoningChunk("hm"),
    ReasoningChunk(" hm"),
    ReasoningStateChunk("anthropic", '{"signature":"EqQB"}'),
    ReasoningStateChunk("anthropic", '{"data":"EmwK"}'),
    TextChunk("Grü"),
    TextChunk("ß €"),
    AnnotationChunk(
        '{"type":"file_citation","file_id":"","filename":"","index":6,"native":'
        '{"api":"anthropic","citation":{"type":"page_location","cited_text":"page"}}}'
    ),
    ToolCallChunk(0, "toolu_1", "f", ""),
    ToolCallChunk(0, None, None, '{"a'),
    ToolCallChunk(0, None, None, '":1}'),
    NativeItemChunk(
        "anthropic",
        '{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"query":"x"}}',
    ),
    NativeItemChunk(
        "anthropic",
        '{"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":[{"title":"t"}]}',
    ),
    ToolCallChunk(1, "toolu_2", "g", ""),
    ToolCallChunk(1, None, None, "{}"),
    UsageChunk(
        Usage(
            input_tokens=125,
            output_tokens=40,
            cached_input_tokens=100,
            cache_write_tokens=20,
            reasoning_tokens=7,
        )
    ),
    FinishChunk(Reason.TOOL_CALLS),
]


def test_an_answer_cut_everywhere() -> None:
    assert cut_everywhere(AnthropicDecoder, ANSWER) == (CHUNKS, None)


@given(st.lists(st.text(min_size=1), max_size=8), CUTS, st.sampled_from(["\n", "\r\n", "\r"]))
def test_any_text_survives_any_cut(texts: list[str], cuts: list[int], newline: str) -> None:
    stream = b"".join(map(text, texts)) + ended()
    chunks, failure = drained(
        AnthropicDecoder(), pieces_of(stream.replace(b"\n", newline.encode()), cuts)
    )
    assert failure is None
    assert chunks == [*map(TextChunk, texts), FinishChunk(Reason.STOP)]


KEYS = [
    *("type", "index", "delta", "content_block", "message", "usage", "content", "error"),
    *("text", "thinking", "partial_json", "stop_reason", "id", "name", "input"),
    *("input_tokens", "output_tokens", "output_tokens_details", "thinking_tokens"),
]
TYPES = [
    *("message_start", "content_block_start", "content_block_delta", "content_block_stop"),
    *("message_delta", "message_stop", "message", "error", "ping", "fallback"),
    *("text", "thinking", "tool_use", "text_delta", "thinking_delta", "input_json_delta"),
]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(TYPES),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
    ),
    max_leaves=12,
)


@given(st.lists(st.tuples(st.sampled_from(TYPES), JSON), max_size=4), st.binary(max_size=30), CUTS)
def test_no_frame_breaks_the_decoder(
    frames: list[tuple[str, Any]], junk: bytes, cuts: list[int]
) -> None:
    stream = b"data: " + junk + b"\n\n"
    for type, fields in frames:
        value = {"type": type, **fields} if isinstance(fields, dict) else fields
        stream += b"data: " + json.dumps(value).encode() + b"\n\n"
    check_any(AnthropicDecoder, stream, cuts)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("end_turn", Reason.STOP),
        ("stop_sequence", Reason.STOP),
        ("pause_turn", Reason.PAUSE_TURN),
        ("max_tokens", Reason.LENGTH),
        ("model_context_window_exceeded", Reason.LENGTH),
        ("tool_use", Reason.TOOL_CALLS),
        ("refusal", Reason.CONTENT_FILTER),
    ],
)
def test_finish_reasons(word: str, reason: Reason) -> None:
    assert decode(HELLO + ended(word)) == ([TextChunk("Hello"), FinishChunk(reason)], None)


def test_only_the_first_finish_counts() -> None:
    stream = ended(None) + ended("max_tokens") + ended("end_turn") + STOP
    assert decode(stream) == ([FinishChunk(Reason.LENGTH)], None)


def test_usage_adds_up_over_the_events() -> None:
    first = message_start(input_tokens=3, cache_read_input_tokens=0, output_tokens=1)
    assert chunks_of(first, ended(None, output_tokens=0)) == [
        UsageChunk(Usage(input_tokens=3, output_tokens=1))
    ]
    later = ended(None, input_tokens=10, cache_read_input_tokens=2, output_tokens=9)
    assert chunks_of(first, later) == [
        UsageChunk(Usage(input_tokens=12, output_tokens=9, cached_input_tokens=2))
    ]
    nulls = ended(None, input_tokens=None, cache_read_input_tokens=None, output_tokens=4)
    assert chunks_of(first, nulls) == [UsageChunk(Usage(input_tokens=3, output_tokens=4))]


def test_incomplete_usage_is_not_reported() -> None:
    """The usage at the start of a message is not final, and an estimate is better than it."""
    assert chunks_of(message_start(input_tokens=3, output_tokens=1), HELLO) == [TextChunk("Hello")]
    assert chunks_of(ended(None, output_tokens=4)) == []
    assert chunks_of(message_start(input_tokens=3), ended(None, output_tokens=-1)) == []
    assert chunks_of(message_start(input_tokens=-3), ended(None, output_tokens=1)) == []
    negative = message_start(input_tokens=3, cache_read_input_tokens=-7)
    assert chunks_of(negative, ended(None, output_tokens=1)) == [
        UsageChunk(Usage(input_tokens=3, output_tokens=1))
    ]


@pytest.mark.parametrize("absurd", [2**53 + 1, 10**20, 1e300])
def test_excessive_numbers_are_left_out(absurd: float) -> None:
    """A number beyond 64 bits can't be stored, and would lose the final record."""
    stream = message_start(input_tokens=1) + ended("end_turn", output_tokens=absurd)
    assert decode(stream) == ([FinishChunk(Reason.STOP)], None)
    assert chunks_of(
        start(0, "tool_use", id="a", name="f", input={}),
        delta(absurd, "input_json_delta", partial_json="{}"),  # type: ignore[arg-type]
    ) == [ToolCallChunk(0, "a", "f", ""), ToolCallChunk(0, None, None, "{}")]


def test_tool_call_in_one_event() -> None:
    block = start(4, "tool_use", id="a", name="f", input={"x": [1, {}]})
    again = delta(4, "input_json_delta", partial_json='{"x":[1,{}]}')
    assert chunks_of(block, again, stop(4)) == [ToolCallChunk(0, "a", "f", '{"x": [1, {}]}')]


def test_tool_call_without_end_event() -> None:
    stream = start(0, "tool_use", id="a", name="f", input={}) + ended("tool_use")
    assert decode(stream) == (
        [
            ToolCallChunk(0, "a", "f", ""),
            ToolCallChunk(0, None, None, "{}"),
            FinishChunk(Reason.TOOL_CALLS),
        ],
        None,
    )


def test_blocks_without_an_index_follow_one_another() -> None:
    def block(type: str, **fields: Any) -> bytes:
        return event("content_block_start", content_block={"type": type, **fields})

    def piece(**fields: Any) -> bytes:
        return event("content_block_delta", delta=fields)

    assert chunks_of(
        block("tool_use", id="a", name="f", input={}),
        piece(type="input_json_delta", partial_json="1"),
        event("content_block_stop"),
        block("tool_use", id="b", name="g", input={}),
        piece(type="input_json_delta", partial_json="2"),
        block("text", text=""),
        piece(type="text_delta", text="Hi"),
    ) == [
        ToolCallChunk(0, "a", "f", ""),
        ToolCallChunk(0, None, None, "1"),
        ToolCallChunk(1, "b", "g", ""),
        ToolCallChunk(1, None, None, "2"),
        TextChunk("Hi"),
    ]


def test_block_start_may_contain_text() -> None:
    assert chunks_of(start(0, "thinking", thinking="hm"), start(1, "text", text="Hi")) == [
        ReasoningChunk("hm"),
        TextChunk("Hi"),
    ]


def test_unknown_events_and_deltas_are_ignored() -> None:
    assert (
        chunks_of(
            event("fallback", text="x"),
            delta(0, "hologram_delta", text="x"),
            b"data: {}\n\n",
            b": comment\n\n",
        )
        == []
    )


def test_blocks_of_unknown_types_are_kept_whole() -> None:
    assert chunks_of(
        start(0, "hologram", content=None),
        delta(0, "hologram_delta", content="a"),
        delta(0, "hologram_delta", content="b"),
        stop(0),
    ) == [NativeItemChunk("anthropic", '{"type":"hologram","content":"ab"}')]


def test_events_without_a_name_are_read_by_type() -> None:
    stream = ANSWER.replace(b"event: ", b"ignored: ")
    assert decode(stream) == (CHUNKS, None)


def test_wrong_types_beside_text_are_tolerated() -> None:
    assert chunks_of(
        event("content_block_delta", index="0", delta={"type": "text_delta", "text": "a"}),
        event("content_block_delta", delta={"type": "text_delta", "text": "b"}, usage="no"),
        event("content_block_start", content_block={"type": "text", "text": "c", "name": 3}),
        event(
            "content_block_start",
            index="4",
            content_block={"type": "tool_use", "id": 5, "name": "f", "input": {"x": 1}},
        ),
    ) == [TextChunk("a"), TextChunk("b"), TextChunk("c"), ToolCallChunk(0, None, "f", '{"x":1}')]


@pytest.mark.parametrize(
    "data",
    ["keep-alive", "17", "[]", '{"type": 3}', '{"type":"message_delta","delta":7}',
     '{"type":"content_block_delta","delta":{"type":"text_delta","text":5}}',
     '{"type":"content_block_delta","delta":{"type":"text_delta","text":"', "\x00",
     '{"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":"hm'],
)  # fmt: skip
def test_a_frame_without_text_is_skipped(data: str) -> None:
    chunks = chunks_of(HELLO, b"data: " + data.encode() + b"\n\n")
    assert chunks[0] == TextChunk("Hello")
    assert [type(chunk) for chunk in chunks[1:]] == [SkippedChunk]


@pytest.mark.parametrize(
    "data",
    [
        b'{"type":"content_block_delta","delta":{"type":"text_delta","text":"lost',
        b'{"type":"content_block_delta","delta":{"text" : "lost"}]',
        b'{"type":"content_block_delta","delta":{"type":"text_delta","text":"\xff"}}',
        b'{"type":"content_block_delta","delta":{"partial_json":"{',
        b'{"type":"content_block_start","content_block":{"type":"tool_use","id":"a',
    ],
)
def test_a_malformed_frame_with_text_fails_after_what_came_before(data: bytes) -> None:
    chunks, failure = failure_of(HELLO, b"data: " + data + b"\n\n", HELLO, ended(), STOP)
    assert chunks == [TextChunk("Hello")]
    assert failure.kind is FailureKind.MALFORMED


@pytest.mark.parametrize(
    ("type", "status"),
    [
        ("invalid_request_error", 400),
        ("authentication_error", 401),
        ("billing_error", 402),
        ("permission_error", 403),
        ("not_found_error", 404),
        ("request_too_large", 413),
        ("rate_limit_error", 429),
        ("api_error", 500),
        ("timeout_error", 504),
        ("overloaded_error", 529),
        ("error_to_come", None),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_errors_in_the_stream(type: str, status: int | None, named: bool) -> None:
    frame = event("error", error={"type": type, "message": "busy"}, request_id="req_1")
    chunks, failure = failure_of(HELLO, frame if named else frame.replace(b"event", b"x"), STOP)
    assert chunks == [TextChunk("Hello")]
    assert (failure.kind, failure.message) == (FailureKind.IN_STREAM_ERROR, "busy")
    assert (failure.type, failure.status, failure.code) == (type, status, None)


@pytest.mark.parametrize(
    ("frame", "message", "status"),
    [
        (b'data: {"error":{"message":"busy","code":502}}\n\n', "busy", 502),
        (b'data: {"error":"busy"}\n\n', "busy", None),
        (b"event: error\ndata: oh\n\n", "oh", None),
        (b'event: error\ndata: {"type":"error"}\n\n', "the provider reported an error", None),
    ],
)
def test_error_formats_of_relays(frame: bytes, message: str, status: int | None) -> None:
    chunks, failure = failure_of(HELLO, frame)
    assert chunks == [TextChunk("Hello")]
    assert (failure.kind, failure.message) == (FailureKind.IN_STREAM_ERROR, message)
    assert failure.status == status


def test_messages_are_scrubbed() -> None:
    decoder = AnthropicDecoder(lambda said: said.replace("sk-1", "[secret]"))
    with pytest.raises(UpstreamFailure, match=r"^bad \[secret\]$"):
        decoder.feed(event("error", error={"type": "api_error", "message": "bad sk-1"}))


def test_end_without_finish_reason_is_truncation() -> None:
    half = HELLO + b'event: content_block_delta\ndata: {"type":"con'
    for stream in (HELLO, STOP, half, message_start(input_tokens=1), b""):
        chunks, failure = failure_of(stream)
        assert chunks == [TextChunk("Hello")][: stream.count(HELLO)]
        assert failure.kind is FailureKind.TRUNCATED


def test_end_mark_and_last_line_are_optional() -> None:
    for stream in (ended(), ended()[:-2], ended() + STOP[:-2]):
        assert decode(stream) == ([FinishChunk(Reason.STOP)], None)


def test_end_mark_ends_the_message() -> None:
    decoder = AnthropicDecoder()
    decoder.feed(ended())
    assert (decoder.saw_end_marker, decoder.over) == (False, False)
    decoder.feed(STOP)
    assert (decoder.saw_end_marker, decoder.over) == (True, True)


def whole(document: bytes) -> tuple[list[Chunk], FailureKind | None]:
    return decode_document(AnthropicWholeDecoder(), document)


def test_complete_message() -> None:
    document = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "EqQB"},
            {"type": "redacted_thinking", "data": "EmwK"},
            {"type": "text", "text": "Hi", "citations": None},
            {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
            {"type": "tool_use", "id": "b", "name": "g", "input": {}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "cache_read_input_tokens": 4, "output_tokens": 2},
    }
    assert whole(json.dumps(document).encode()) == (
        [
            ReasoningChunk("hm"),
            ReasoningStateChunk("anthropic", '{"signature":"EqQB"}'),
            ReasoningStateChunk("anthropic", '{"data":"EmwK"}'),
            TextChunk("Hi"),
            ToolCallChunk(0, "a", "f", '{"x": 1}'),
            ToolCallChunk(1, "b", "g", ""),
            ToolCallChunk(1, None, None, "{}"),
            UsageChunk(Usage(input_tokens=5, output_tokens=2, cached_input_tokens=4)),
            FinishChunk(Reason.TOOL_CALLS),
        ],
        None,
    )


def test_document_without_a_message() -> None:
    assert whole(b'{"type":"error","error":{"type":"api_error","message":"x"}}') == (
        [],
        FailureKind.IN_STREAM_ERROR,
    )
    assert whole(b'{"type":"message","content":[]}') == ([], FailureKind.TRUNCATED)
    half = b'{"type":"message","content":[{"type":"text","text":"a'
    assert whole(half)[1] is FailureKind.MALFORMED
    assert whole(b"")[1] is FailureKind.TRUNCATED


def test_a_frame_that_is_nested_too_deeply_is_skipped() -> None:
    for deep in (b"[" * 100_000, b'{"type":3,"index":' + b"[" * 100_000):
        said, skipped = chunks_of(HELLO, b"data: " + deep + b"\n\n")
        assert said == TextChunk("Hello")
        assert isinstance(skipped, SkippedChunk)


def test_a_request_names_the_version_and_the_key() -> None:
    call = ModelCall(
        upstream_model="claude",
        messages=read_messages([{"role": "user", "content": "Hi"}]),
        parameters={},
    )
    parts = ANTHROPIC.build(call, "sk-1")
    assert parts.path == "/messages"
    assert dict(parts.headers)["x-api-key"] == "sk-1"
    assert dict(parts.headers)["anthropic-version"] == "2023-06-01"
    assert json.loads(parts.body)["stream"] is True
    assert "x-api-key" not in dict(ANTHROPIC.build(call, None).headers)
