"""Tests of the Gemini decoder: responses to chunks, independent of where bytes are cut."""

import json
from typing import Any

import pytest
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st

from actors.providers.formats.gemini.decoder import (
    GEMINI,
    GeminiDecoder,
    GeminiWholeDecoder,
    signature_chunk,
)
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
    LAST,
    MemoryWire,
    Peer,
    chunked,
    credentials_of,
    head,
    pieces_of,
)

COUNTS = {"promptTokenCount": 3, "candidatesTokenCount": 5, "totalTokenCount": 8}
COUNTED = UsageChunk(Usage(input_tokens=3, output_tokens=5))
FINISH = FinishChunk(Reason.STOP)


def frame(*parts: Any, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    """Return a response with one candidate, validated by the SDK's types."""
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    response = {"candidates": [candidate], "modelVersion": "gemini", "responseId": "r1", **fields}
    types.GenerateContentResponse.model_validate(response)
    return response


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\r\n\r\n"


def stream(*frames: Any) -> bytes:
    return b"".join(map(event, frames))


def decode(*frames: Any) -> tuple[list[Chunk], UpstreamFailure | None]:
    return drained(GeminiDecoder(), [stream(*frames)])


def chunks_of(*frames: Any) -> list[Chunk]:
    """Return the chunks of a valid answer, without the finish that is added to the frames."""
    chunks, failure = decode(*frames, frame(finish="STOP"))
    assert failure is None
    assert isinstance(chunks[-1], FinishChunk)
    return chunks[:-1]


ANSWER = stream(
    frame({"text": "let me see", "thought": True}, usageMetadata={"promptTokenCount": 3}),
    frame({"text": "Grü"}, usageMetadata=COUNTS | {"candidatesTokenCount": 1}),
    frame({"text": "ß €"}, {"text": ""}),
    frame({"functionCall": {"id": "c1", "name": "f", "args": {"a": [1, "ü"]}}}),
    frame(
        {"functionCall": {"name": "g"}, "thoughtSignature": "c2ln"},
        {"text": "", "thoughtSignature": "c2ln"},
        finish="STOP",
        usageMetadata={
            **COUNTS,
            "totalTokenCount": 10,
            "thoughtsTokenCount": 2,
            "cachedContentTokenCount": 1,
        },
    ),
)


def test_answer_decodes_the_same_wherever_it_is_cut() -> None:
    chunks, failure = cut_everywhere(GeminiDecoder, b": hello\n\n" + ANSWER)
    assert failure is None
    extras = '{"extra_content":{"google":{"thought_signature":"c2ln"}}}'
    assert chunks == [
        ReasoningChunk("let me see"),
        TextChunk("Grü"),
        TextChunk("ß €"),
        ToolCallChunk(0, "c1", "f", '{"a":[1,"ü"]}'),
        signature_chunk("c2ln", "functionCall"),
        ToolCallChunk(1, None, "g", "{}", extras=extras),
        UsageChunk(
            Usage(input_tokens=3, output_tokens=7, cached_input_tokens=1, reasoning_tokens=2)
        ),
        signature_chunk("c2ln", "text"),
        FinishChunk(Reason.TOOL_CALLS),
    ]


@given(st.lists(st.text(min_size=1), max_size=8), CUTS, st.sampled_from(["\n", "\r\n", "\r"]))
def test_any_text_survives_any_cut(texts: list[str], cuts: list[int], newline: str) -> None:
    frames = [frame({"text": text}) for text in texts]
    data = stream(*frames, frame(finish="STOP")).replace(b"\r\n", newline.encode())
    assert drained(GeminiDecoder(), pieces_of(data, cuts)) == (
        [*map(TextChunk, texts), FINISH],
        None,
    )


JSON = json_with(
    "candidates", "content", "parts", "text", "thought", "functionCall",
    "name", "args", "id", "usageMetadata", "promptTokenCount", "index",
    "finishReason", "promptFeedback", "blockReason", "error", "responseId",
    "thoughtsTokenCount", "logprobsResult", "chosenCandidates",
)  # fmt: skip


@given(st.lists(JSON, max_size=4), st.binary(max_size=30), CUTS)
def test_no_frame_breaks_the_decoder(frames: list[Any], junk: bytes, cuts: list[int]) -> None:
    data = stream(*frames) + b"data: " + junk + b"\n\n"
    check_any(GeminiDecoder, data, cuts)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("STOP", Reason.STOP),
        ("MAX_TOKENS", Reason.LENGTH),
        *(
            (word, Reason.CONTENT_FILTER)
            for word in ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII",
                         "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION")
        ),
    ],
)  # fmt: skip
def test_finish_reasons(word: str, reason: Reason) -> None:
    assert decode(frame({"text": "x"}, finish=word)) == (
        [TextChunk("x"), FinishChunk(reason)],
        None,
    )


@pytest.mark.parametrize(
    "word", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "OTHER", "LANGUAGE", "NEW_ONE"]
)
def test_failed_finish_is_an_error_after_the_text(word: str) -> None:
    response = {"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": word}]}
    chunks, failure = decode(response | {"usageMetadata": COUNTS})
    assert chunks == [TextChunk("x"), COUNTED]
    assert failure is not None
    assert (failure.kind, failure.code) == (FailureKind.IN_STREAM_ERROR, word)
    assert word in failure.message


def test_tool_calls_finish_of_compatible_servers() -> None:
    call = {"functionCall": {"name": "f", "args": {"a": 1}, "id": "c"}}
    candidate = {"content": {"parts": [call]}, "finishReason": "FUNCTION_CALL"}
    assert decode({"candidates": [candidate]}) == (
        [ToolCallChunk(0, "c", "f", '{"a":1}'), FinishChunk(Reason.TOOL_CALLS)],
        None,
    )


def test_finish_message_of_the_provider() -> None:
    decoder = GeminiDecoder(lambda text: text.replace("key1", "[secret]"))
    candidate = {"finishReason": "OTHER", "finishMessage": "no key1"}
    with pytest.raises(UpstreamFailure, match=r"^no \[secret\]$"):
        decoder.feed(event({"candidates": [candidate]}))


def test_unspecified_finish_is_no_finish() -> None:
    chunks, failure = decode(frame({"text": "x"}, finish="FINISH_REASON_UNSPECIFIED"))
    assert chunks == [TextChunk("x")]
    assert failure is not None
    assert failure.kind is FailureKind.TRUNCATED


def test_tool_calls_in_an_earlier_frame_set_the_finish() -> None:
    call = frame({"functionCall": {"id": "a", "name": "f", "args": {}}})
    chunks, _ = decode(call, frame(finish="STOP"))
    assert chunks[-1] == FinishChunk(Reason.TOOL_CALLS)
    chunks, _ = decode(call, frame(finish="MAX_TOKENS"))
    assert chunks[-1] == FinishChunk(Reason.LENGTH)


def test_a_blocked_prompt_is_filtered() -> None:
    blocked = {
        "promptFeedback": {"blockReason": "SAFETY"},
        "usageMetadata": {"promptTokenCount": 4},
    }
    types.GenerateContentResponse.model_validate(blocked)
    used = UsageChunk(Usage(input_tokens=4, output_tokens=0))
    assert decode(blocked) == ([used, FinishChunk(Reason.CONTENT_FILTER)], None)
    rated: dict[str, Any] = {"promptFeedback": {"safetyRatings": []}}
    assert chunks_of(rated, {"promptFeedback": {"blockReason": "BLOCK_REASON_UNSPECIFIED"}}) == []


def test_last_usage_is_reported_with_the_finish() -> None:
    early = frame({"text": "x"}, usageMetadata={"promptTokenCount": 9, "candidatesTokenCount": 1})
    text = TextChunk("x")
    assert decode(early, frame(finish="STOP", usageMetadata=COUNTS)) == (
        [text, COUNTED, FINISH],
        None,
    )
    late = {"usageMetadata": COUNTS}
    first = UsageChunk(Usage(input_tokens=9, output_tokens=1))
    assert decode(early, frame(finish="STOP"), late) == ([text, first, FINISH, COUNTED], None)
    assert decode(frame(finish="STOP"), late) == ([FINISH, COUNTED], None)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"promptTokenCount": 3}, Usage(input_tokens=3, output_tokens=0)),
        (
            {"promptTokenCount": 0, "candidatesTokenCount": 0},
            Usage(input_tokens=0, output_tokens=0),
        ),
        (
            {"promptTokenCount": 3, "thoughtsTokenCount": 4},
            Usage(input_tokens=3, output_tokens=4, reasoning_tokens=4),
        ),
        (
            {"promptTokenCount": 3, "toolUsePromptTokenCount": 2, "candidatesTokenCount": 1},
            Usage(input_tokens=5, output_tokens=1),
        ),
        ({"candidatesTokenCount": 3}, None),
        ({"promptTokenCount": -1}, None),
        (
            {"promptTokenCount": 3, "thoughtsTokenCount": -1, "candidatesTokenCount": 2},
            Usage(input_tokens=3, output_tokens=2),
        ),
        ({"promptTokenCount": 10**20}, None),
        ({}, None),
    ],
)
def test_usage(usage: dict[str, int], expected: Usage | None) -> None:
    chunks, failure = decode(frame(usageMetadata=usage, finish="STOP"))
    assert failure is None
    assert chunks == ([FINISH] if expected is None else [UsageChunk(expected), FINISH])


def test_logprobs_are_converted_to_chat_completions_form() -> None:
    def token(text: str, log: float) -> dict[str, Any]:
        return {"token": text, "tokenId": 1, "logProbability": log}

    result = {
        "chosenCandidates": [token("Hi", -0.5), token("!", -1)],
        "topCandidates": [{"candidates": [token("Hi", -0.5), token("Ho", -2.5)]}],
    }
    response = frame({"text": "Hi!"}, {"text": "?"})
    response["candidates"][0]["logprobsResult"] = result
    types.GenerateContentResponse.model_validate(response)
    one, two = chunks_of(response)
    assert isinstance(one, TextChunk)
    assert json.loads(one.logprobs or "") == {
        "content": [
            {
                "token": "Hi",
                "logprob": -0.5,
                "bytes": None,
                "top_logprobs": [
                    {"token": "Hi", "logprob": -0.5, "bytes": None},
                    {"token": "Ho", "logprob": -2.5, "bytes": None},
                ],
            },
            {"token": "!", "logprob": -1, "bytes": None, "top_logprobs": []},
        ]
    }
    assert two == TextChunk("?")
    response["candidates"][0]["logprobsResult"] = {"chosenCandidates": 5}
    assert chunks_of(response) == [TextChunk("Hi!"), TextChunk("?")]


def test_other_candidates_and_parts_are_ignored() -> None:
    other = {"index": 1, "content": {"parts": [{"text": "other"}]}, "finishReason": "OTHER"}
    response = frame({"executableCode": {"code": "1", "language": "PYTHON"}}, {"text": "x"})
    response["candidates"].insert(0, other)
    assert chunks_of(response, {"candidates": []}, {}) == [TextChunk("x")]


def test_wrong_types_beside_text_are_tolerated() -> None:
    assert chunks_of(
        {"candidates": [{"content": {"parts": [{"text": "a", "thought": "no"}, 7]}, "index": "0"}]},
        {"candidates": [{"content": {"parts": [{"text": "b"}]}}, 5], "usageMetadata": "no"},
        {"candidates": [{"content": {"parts": [{"functionCall": {"name": 3, "args": "{}"}}]}}]},
    )[:2] == [TextChunk("a"), TextChunk("b")]


@pytest.mark.parametrize(
    "data",
    ["keep-alive", "17", '"x"', '{"candidates": 3}', '{"candidates":[{"content":{"par', "\x00", "[",
     '{"candidates":[{"content":{"parts":[{"text":5}]}}]}', '{"candidates":[{"content":"x"}]}'],
)  # fmt: skip
def test_a_frame_without_text_is_skipped(data: str) -> None:
    raw = event(frame({"text": "x"})) + f"data: {data}\n\n".encode() + event(frame(finish="STOP"))
    chunks, failure = drained(GeminiDecoder(), [raw])
    assert failure is None
    assert [type(chunk) for chunk in chunks] == [TextChunk, SkippedChunk, FinishChunk]


@pytest.mark.parametrize(
    "data",
    [
        b'{"candidates":[{"content":{"parts":[{"text":"lost',
        b'{"candidates":[{"content":{"parts":[{"text" : "lost"}]}}',
        b'{"candidates":[{"content":{"parts":[{"text":"\xff"}]}}]}',
        b'{"candidates":[{"content":{"parts":[{"functionCall":{"na',
        b'{"candidates":[{"content":{"parts":[{"functionCall":{"args":{"a":"\xff"}}}]}}]}',
    ],
)
def test_a_malformed_frame_with_text_fails_after_what_came_before(data: bytes) -> None:
    raw = event(frame({"text": "x"})) + b"data: " + data + b"\n\n" + event(frame(finish="STOP"))
    chunks, failure = cut_everywhere(GeminiDecoder, raw)
    assert chunks == [TextChunk("x")]
    assert failure is not None
    assert failure.kind is FailureKind.MALFORMED


def test_errors_in_the_stream() -> None:
    error = {"error": {"code": 503, "message": "at host.com", "status": "UNAVAILABLE"}}
    for wrong in (error, [error]):
        decoder = GeminiDecoder(lambda text: text.replace("host.com", "[address]"))
        chunks, failure = drained(decoder, [stream(frame({"text": "x"}), wrong)])
        assert chunks == [TextChunk("x")]
        assert failure is not None
        assert (failure.kind, failure.status) == (FailureKind.IN_STREAM_ERROR, 503)
        assert (failure.message, failure.type) == ("at [address]", "UNAVAILABLE")
    assert chunks_of(frame({"text": "x"}) | {"error": None}) == [TextChunk("x")]


def test_end_without_finish_is_truncation() -> None:
    for data in (b"", event(frame({"text": "x"})), event(frame({"text": "x"})) + b"data: {"):
        chunks, failure = drained(GeminiDecoder(), [data])
        assert chunks == [TextChunk("x")][: len(data)]
        assert failure is not None
        assert failure.kind is FailureKind.TRUNCATED


def test_the_last_event_needs_no_empty_line() -> None:
    assert drained(GeminiDecoder(), [event(frame(finish="STOP"))[:-4]]) == ([FINISH], None)


@pytest.mark.parametrize("array", [True, False])
def test_complete_answer_document(array: bool) -> None:
    one = frame({"text": "Hi"}, {"functionCall": {"id": "a", "name": "f", "args": {"b": 1}}})
    last = frame({"text": "!"}, finish="MAX_TOKENS", usageMetadata=COUNTS)
    document: Any = [one, last]
    if not array:
        last["candidates"][0]["content"]["parts"] = [
            *one["candidates"][0]["content"]["parts"],
            {"text": "!"},
        ]
        document = last
    assert cut_everywhere(GeminiWholeDecoder, json.dumps(document, indent=1).encode()) == (
        [
            TextChunk("Hi"),
            ToolCallChunk(0, "a", "f", '{"b":1}'),
            TextChunk("!"),
            COUNTED,
            FinishChunk(Reason.LENGTH),
        ],
        None,
    )


def test_document_that_is_not_an_answer() -> None:
    def kind(document: bytes) -> tuple[list[Chunk], FailureKind | None]:
        return decode_document(GeminiWholeDecoder(), document)

    assert kind(b'[{"error":{"message":"x"}}]') == ([], FailureKind.IN_STREAM_ERROR)
    text = b'{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}'
    assert kind(b"{}") == ([], FailureKind.TRUNCATED)
    error = b'{"error":{"message":"x"}}'
    assert kind(b"[%b,%b]" % (text, error)) == ([TextChunk("a")], FailureKind.IN_STREAM_ERROR)
    assert kind(text[:-3]) == ([], FailureKind.MALFORMED)
    assert kind(b"") == ([], FailureKind.TRUNCATED)
    assert kind(b"[" * 100_000)[1] is FailureKind.TRUNCATED


SSE = head(200, "content-type: text/event-stream", "transfer-encoding: chunked")
CALL = ModelCall(upstream_model="sim:a/b", messages=read_messages([]), parameters={})


async def test_connection_is_reused_after_a_finished_answer() -> None:
    last = chunked(event(frame({"text": "Hi"}, finish="STOP", usageMetadata=COUNTS)))
    for end in ([last + LAST], [last, LAST]):
        wire = MemoryWire(SSE, *end)
        client = Peer(wire).client()
        provider = HttpProvider(
            "p", "http://up/v1beta", credentials_of("k1"), client, format=GEMINI
        )
        answer = await provider.open(CALL, connect_s=5.0)
        chunks: list[Chunk] = []
        while batch := await answer.receive():
            chunks += batch
        answer.release()
        assert chunks == [TextChunk("Hi"), COUNTED, FINISH]
        assert client.upstream.statistics() == Statistics(connecting=0, open=1, idle=1)
        request = wire.sent.split(b"\r\n")
        target = b"/v1beta/models/sim%3Aa%2Fb:streamGenerateContent?alt=sse"
        assert request[0] == b"POST " + target + b" HTTP/1.1"
        assert b"x-goog-api-key: k1" in request
