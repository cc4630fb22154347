"""Tests of the Ollama decoder: lines to chunks, independent of where bytes are cut."""

import json
from typing import Any

import ollama
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.providers.formats.ollama.decoder import OLLAMA, OllamaDecoder, OllamaWholeDecoder
from actors.providers.http.provider import HttpProvider
from actors.providers.http.transport import Statistics
from actors.turn.chat_messages import read_messages
from actors.turn.chunks import (
    Chunk,
    FinishChunk,
    ReasoningChunk,
    SkippedChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
)
from actors.turn.model_call import FailureKind, ModelCall, UpstreamFailure
from actors.turn.outcome import Reason, Usage
from tests.support.decoder_feeds import (
    CUTS,
    check_any,
    cut_everywhere,
    decode_document,
    drained,
    json_with,
)
from tests.support.scripted_connections import (
    MemoryWire,
    Peer,
    chunked,
    credentials_of,
    head,
    pieces_of,
)

FINISH = FinishChunk(Reason.STOP)
COUNTED = UsageChunk(Usage(input_tokens=26, output_tokens=7))


def line(done: bool = False, **message: Any) -> dict[str, Any]:
    """Return a line of a stream, validated by the SDK's types."""
    said = {
        "model": "llama3.2",
        "created_at": "2026-02-03T04:05:06.789Z",
        "message": {"role": "assistant", "content": "", **message},
        "done": done,
    }
    ollama.ChatResponse.model_validate(said, strict=True)
    return said


def last(**fields: Any) -> dict[str, Any]:
    counts = {"prompt_eval_count": 26, "eval_count": 7, "total_duration": 4_883_583_458}
    said = line(done=True) | {"done_reason": "stop"} | counts | fields
    ollama.ChatResponse.model_validate(said, strict=True)
    return said


def call(name: str, arguments: Any, **fields: Any) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": arguments}, **fields}


def stream(*lines: Any) -> bytes:
    return b"".join(json.dumps(one, ensure_ascii=False).encode() + b"\n" for one in lines)


def decode(*lines: Any) -> tuple[list[Chunk], UpstreamFailure | None]:
    return drained(OllamaDecoder(), [stream(*lines)])


def chunks_of(*lines: Any) -> list[Chunk]:
    """Return the chunks of a valid answer, without the end that is added to the lines."""
    chunks, failure = decode(*lines, last())
    assert failure is None
    assert isinstance(chunks.pop(), FinishChunk)
    assert chunks.pop() == COUNTED
    return chunks


def test_an_answer_cut_everywhere() -> None:
    answer = stream(
        line(thinking="hm"),
        line(content="Grü", thinking="hm?"),
        line(content="ß €"),
        line(tool_calls=[call("f", {"a": [1, "ü"]}, id="c1"), call("g", {})]),
        last(),
        line(content="nobody reads this"),
    )
    for newline in (b"\n", b"\r\n", b"\n\n"):
        chunks, failure = cut_everywhere(OllamaDecoder, answer.replace(b"\n", newline))
        assert failure is None
        assert chunks == [
            ReasoningChunk("hm"),
            ReasoningChunk("hm?"),
            TextChunk("Grü"),
            TextChunk("ß €"),
            ToolCallChunk(0, "c1", "f", '{"a":[1,"ü"]}'),
            ToolCallChunk(1, None, "g", "{}"),
            COUNTED,
            FinishChunk(Reason.TOOL_CALLS),
        ]


@given(st.lists(st.text(min_size=1), max_size=8), CUTS)
def test_any_text_survives_any_cut(texts: list[str], cuts: list[int]) -> None:
    data = stream(*(line(content=text) for text in texts), last())
    assert drained(OllamaDecoder(), pieces_of(data, cuts)) == (
        [*map(TextChunk, texts), COUNTED, FINISH],
        None,
    )


JSON = json_with(
    "message", "content", "thinking", "tool_calls", "function", "name", "id",
    "arguments", "done", "done_reason", "prompt_eval_count", "eval_count",
    "error", "logprobs", "token", "logprob",
)  # fmt: skip


@given(st.lists(JSON, max_size=4), st.binary(max_size=30), CUTS)
def test_no_line_breaks_the_decoder(lines: list[Any], junk: bytes, cuts: list[int]) -> None:
    data = stream(*lines) + junk + b"\n"
    check_any(OllamaDecoder, data, cuts)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", Reason.STOP),
        ("length", Reason.LENGTH),
        ("load", Reason.STOP),
        ("unload", Reason.STOP),
        (None, Reason.STOP),
    ],
)
def test_finish_reasons(word: str | None, reason: Reason) -> None:
    chunks, failure = decode(line(content="x"), last(done_reason=word))
    assert (chunks, failure) == ([TextChunk("x"), COUNTED, FinishChunk(reason)], None)


def test_tool_calls_in_an_earlier_line_set_the_finish() -> None:
    called = line(tool_calls=[call("f", {}, id="a")])
    assert decode(called, last())[0][-1] == FinishChunk(Reason.TOOL_CALLS)
    assert decode(called, last(done_reason="length"))[0][-1] == FinishChunk(Reason.LENGTH)


def test_last_line_may_contain_text() -> None:
    whole = last(message={"role": "assistant", "content": "x", "thinking": "hm"})
    assert decode(whole) == ([ReasoningChunk("hm"), TextChunk("x"), COUNTED, FINISH], None)


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        ({"prompt_eval_count": 0, "eval_count": 0}, Usage(input_tokens=0, output_tokens=0)),
        ({"prompt_eval_count": 5}, Usage(input_tokens=5, output_tokens=0)),
        ({"eval_count": 5}, None),
        ({"prompt_eval_count": -1, "eval_count": 5}, None),
        ({"prompt_eval_count": 10**20, "eval_count": 5}, None),
        ({"prompt_eval_count": "5", "eval_count": 5}, None),
        ({}, None),
    ],
)
def test_usage(counts: dict[str, Any], usage: Usage | None) -> None:
    chunks, failure = decode(line(done=True) | counts)
    assert failure is None
    assert chunks == ([FINISH] if usage is None else [UsageChunk(usage), FINISH])


def test_logprobs_are_converted_to_chat_completions_form() -> None:
    other = {"token": "Ho", "logprob": -2.5}
    said = line(content="Hi") | {
        "logprobs": [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": [other]}]
    }
    ollama.ChatResponse.model_validate(said)
    (chunk,) = chunks_of(said)
    assert isinstance(chunk, TextChunk)
    assert json.loads(chunk.logprobs or "") == {
        "content": [
            {
                "token": "Hi",
                "logprob": -0.5,
                "bytes": [72, 105],
                "top_logprobs": [other | {"bytes": None}],
            }
        ]
    }
    assert chunks_of(line(content="Hi") | {"logprobs": "none"}) == [TextChunk("Hi")]


def test_wrong_types_beside_text_are_tolerated() -> None:
    assert chunks_of(
        {"message": {"content": "a", "tool_calls": "none", "thinking": 5}, "done": "no"},
        {"message": {"content": "b", "tool_calls": [5]}, "created_at": 7},
        {"message": {"content": None, "tool_calls": [call("f", "{}", id="x")]}},
        {"message": {"tool_calls": [{"function": {"name": 5}, "id": "y"}, {"id": "z"}]}},
    ) == [
        TextChunk("a"),
        TextChunk("b"),
        ToolCallChunk(0, "x", "f", "{}"),
        ToolCallChunk(1, "y", "", "{}"),
        ToolCallChunk(2, "z", "", "{}"),
    ]


@pytest.mark.parametrize(
    "data",
    ["keep-alive", "17", "[]", '{"message": 3}', '{"message":{"role":"ass', "\x00", "[" * 100_000,
     '{"message":{"content":5}}', '{"message":{"content":"', "data: {}"],
)  # fmt: skip
def test_a_line_without_text_is_skipped(data: str) -> None:
    raw = stream(line(content="x")) + data.encode() + b"\n" + stream(last())
    chunks, failure = drained(OllamaDecoder(), [raw])
    assert failure is None
    assert [type(chunk) for chunk in chunks] == [TextChunk, SkippedChunk, UsageChunk, FinishChunk]


@pytest.mark.parametrize(
    "data",
    [
        b'{"message":{"content":"lost',
        b'{"message":{"thinking" : "lost"}',
        b'{"message":{"content":"\xff"}}',
        b'{"message":{"tool_calls":[{"function":{"na',
        b'{"message":{"tool_calls":[{"function":{"arguments":{"a":"\xff"}}}]}}',
    ],
)
def test_a_malformed_line_with_text_fails_after_what_came_before(data: bytes) -> None:
    raw = stream(line(content="x")) + data + b"\n" + stream(last())
    chunks, failure = cut_everywhere(OllamaDecoder, raw)
    assert chunks == [TextChunk("x")]
    assert failure is not None
    assert failure.kind is FailureKind.MALFORMED


def test_errors_in_the_stream() -> None:
    decoder = OllamaDecoder(lambda text: text.replace("host.com", "[address]"))
    wrong = stream(line(content="x"), {"error": "runner at host.com died"}, last())
    chunks, failure = drained(decoder, [wrong])
    assert chunks == [TextChunk("x")]
    assert failure is not None
    assert failure.kind is FailureKind.IN_STREAM_ERROR
    assert failure.message == "runner at [address] died"
    assert chunks_of(line(content="x") | {"error": None}) == [TextChunk("x")]


def test_end_without_done_is_truncation() -> None:
    for data in (b"", stream(line(content="x")), stream(line(content="x")) + b'{"message":{"c'):
        chunks, failure = drained(OllamaDecoder(), [data])
        assert chunks == [TextChunk("x")][: len(data)]
        assert failure is not None
        assert failure.kind is FailureKind.TRUNCATED


def test_the_last_line_needs_no_line_end() -> None:
    assert drained(OllamaDecoder(), [stream(last())[:-1]]) == ([COUNTED, FINISH], None)
    error = stream(line(content="x"), {"error": "late"})[:-1]
    chunks, failure = cut_everywhere(OllamaDecoder, error)
    assert chunks == [TextChunk("x")]
    assert failure is not None
    assert failure.message == "late"


def test_done_is_the_end_mark() -> None:
    decoder = OllamaDecoder()
    decoder.feed(stream(line(content="x")))
    assert (decoder.over, decoder.saw_end_marker) == (False, False)
    decoder.feed(stream(last()))
    assert (decoder.over, decoder.saw_end_marker) == (True, True)


def test_complete_answer_document() -> None:
    message = {
        "role": "assistant",
        "content": "Hi",
        "thinking": "hm",
        "tool_calls": [call("f", {"a": 1}, id="a"), call("g", {}, id="b")],
    }
    document = json.dumps(last(message=message), indent=2).encode()
    assert cut_everywhere(OllamaWholeDecoder, document) == (
        [
            ReasoningChunk("hm"),
            TextChunk("Hi"),
            ToolCallChunk(0, "a", "f", '{"a":1}'),
            ToolCallChunk(1, "b", "g", "{}"),
            COUNTED,
            FinishChunk(Reason.TOOL_CALLS),
        ],
        None,
    )


def test_document_that_is_not_an_answer() -> None:
    def kind(document: bytes) -> tuple[list[Chunk], FailureKind | None]:
        return decode_document(OllamaWholeDecoder(), document)

    assert kind(b'{"error":"x"}') == ([], FailureKind.IN_STREAM_ERROR)
    text = stream(line(content="a"))
    assert kind(text) == ([TextChunk("a")], FailureKind.TRUNCATED)
    assert kind(text[:-5]) == ([], FailureKind.MALFORMED)
    assert kind(b"") == ([], FailureKind.TRUNCATED)


async def test_connection_is_reused_after_a_finished_answer() -> None:
    fields = ("content-type: application/x-ndjson", "transfer-encoding: chunked")
    wire = MemoryWire(head(200, *fields), chunked(stream(line(content="Hi"), last())))
    client = Peer(wire).client()
    provider = HttpProvider("p", "http://up:11434", credentials_of("k1"), client, format=OLLAMA)
    empty = ModelCall(upstream_model="llama3.2", messages=read_messages([]), parameters={})
    answer = await provider.open(empty, connect_s=5.0)
    assert await answer.receive() == [TextChunk("Hi"), COUNTED, FINISH]
    assert await answer.receive() == []
    answer.release()
    assert client.upstream.statistics() == Statistics(connecting=0, open=1, idle=1)
    request = wire.sent.split(b"\r\n")
    assert request[0] == b"POST /api/chat HTTP/1.1"
    assert b"authorization: Bearer k1" in request
