"""Tests of the ends of answers in all formats: finish words, end markers and stop sequences."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from actors.providers.formats.anthropic.decoder import AnthropicDecoder, AnthropicWholeDecoder
from actors.providers.formats.base import Decoder
from actors.providers.formats.gemini.decoder import GeminiDecoder, GeminiWholeDecoder
from actors.providers.formats.ollama.decoder import OllamaDecoder, OllamaWholeDecoder
from actors.providers.formats.openai_chat.decoder import OpenAIChatDecoder, OpenAIWholeDecoder
from actors.providers.formats.openai_responses.decoder import ResponsesDecoder
from actors.turn.chunks import FinishChunk, ReasoningChunk, TextChunk, ToolCallChunk, WarningChunk
from actors.turn.model_call import FailureKind
from actors.turn.outcome import Reason
from tests.support.decoder_feeds import Drained, drained

Json = dict[str, Any]
DONE = b"data: [DONE]\n\n"


def sse(*frames: Json) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(frame).encode() for frame in frames)


def lines(*frames: Json) -> bytes:
    return b"".join(b"%b\n" % json.dumps(frame).encode() for frame in frames)


def chat(word: str | None = None, call: bool = False, **choice: object) -> bytes:
    function = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}
    delta = {"tool_calls": [function]} if call else {"content": "Hi"}
    return sse({"choices": [{"delta": delta, "finish_reason": word, **choice}]})


def messages(word: str | None = None, call: bool = False, **delta: object) -> bytes:
    block = {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}}
    start = block if call else {"type": "text", "text": "Hi"}
    return sse(
        {"type": "content_block_start", "index": 0, "content_block": start},
        {"type": "message_delta", "delta": {"stop_reason": word, **delta}},
    )


def gemini(word: str | None = None, call: bool = False, **candidate: object) -> bytes:
    part = {"functionCall": {"id": "c", "name": "f", "args": {}}} if call else {"text": "Hi"}
    return sse({"candidates": [{"content": {"parts": [part]}, "finishReason": word, **candidate}]})


def ollama(word: str | None = None, call: bool = False) -> bytes:
    function = {"function": {"name": "f", "arguments": {}}}
    message = {"tool_calls": [function]} if call else {"content": "Hi"}
    return lines({"message": message, "done": True, "done_reason": word})


Answer = Callable[[str | None, bool], bytes]
FORMATS: dict[str, tuple[Callable[[], Decoder], Answer]] = {
    "openai-chat": (OpenAIChatDecoder, chat),
    "anthropic": (AnthropicDecoder, messages),
    "gemini": (GeminiDecoder, gemini),
    "ollama": (OllamaDecoder, ollama),
}
"""Decoder of each format with finish words, and a function that builds an answer."""

MEANINGS = {
    Reason.STOP: "stop STOP end_turn eos eos_token eosFound COMPLETE stop_sequence normal load"
    " FinishReason.STOP FINISH_REASON_STOP REASON_STOP STOP_CRITERIA_MET",
    Reason.LENGTH: "length max_tokens MAX_TOKENS max-output-tokens model_length token_limit"
    " REASON_MAX_LEN context loop_detected"
    " ERROR_LIMIT model_context_window_exceeded CONTINUATION",
    Reason.TOOL_CALLS: "tool_calls tool_use function_call toolCalls",
    Reason.CONTENT_FILTER: "content_filter refusal SAFETY sensitive guardrail_intervened SPII"
    " content_moderation unsafe FINISH_REASON_SAFETY",
}
WORDS = [(word, reason) for reason, words in MEANINGS.items() for word in words.split()]
FAILED = [
    *("abort", "aborted", "error", "ERROR", "cancelled", "USER_CANCEL", "network_error"),
    *("insufficient_system_resource", "timeout", "MALFORMED_FUNCTION_CALL", "OTHER", "failed"),
    *("model_error", "rate_limited", "invalid_tool_call", "preempted", "FinishReason.OTHER"),
]


def decode(format: str, data: bytes) -> Drained:
    return drained(FORMATS[format][0](), [data])


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("word", "reason"), WORDS)
def test_words_of_all_servers_are_read_in_all_formats(
    format: str, word: str, reason: Reason
) -> None:
    chunks, failure = decode(format, FORMATS[format][1](word, False))
    assert failure is None
    assert chunks == [TextChunk("Hi"), FinishChunk(reason)]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("word", FAILED)
def test_answer_that_the_server_gave_up_is_a_failure(format: str, word: str) -> None:
    chunks, failure = decode(format, FORMATS[format][1](word, False))
    assert chunks == [TextChunk("Hi")]
    assert failure is not None
    assert (failure.kind, failure.code) == (FailureKind.IN_STREAM_ERROR, word)
    assert word in failure.message


@pytest.mark.parametrize("format", FORMATS)
def test_word_in_an_object_is_read(format: str) -> None:
    limit: Any = {"type": "length", "length": 5}
    chunks, _ = decode(format, FORMATS[format][1](limit, False))
    assert chunks[:2] == [TextChunk("Hi"), FinishChunk(Reason.LENGTH)]
    given_up: Any = {"type": "abort", "message": "Aborted"}
    _, failure = decode(format, FORMATS[format][1](given_up, False))
    assert failure is not None
    assert failure.code == "abort"
    number: Any = 7
    chunks, failure = decode(format, FORMATS[format][1](number, False))
    assert failure is not None or isinstance(chunks[1], WarningChunk)


@pytest.mark.parametrize("format", FORMATS)
def test_unknown_word_is_never_a_silent_stop(format: str) -> None:
    chunks, failure = decode(format, FORMATS[format][1]("a_word_to_come", False))
    if format == "gemini":  # whose API has many words for failures of the model
        assert failure is not None
        assert failure.code == "a_word_to_come"
        return
    assert failure is None
    _, warning, finish = chunks
    assert isinstance(warning, WarningChunk)
    assert warning.code == "finish_reason_unknown"
    assert "a_word_to_come" in warning.message
    assert finish == FinishChunk(Reason.STOP)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("word", ["stop", "end_turn", "tool_use", "tool_calls", "STOP"])
def test_stop_with_calls_means_that_they_wait(format: str, word: str) -> None:
    chunks, failure = decode(format, FORMATS[format][1](word, True))
    assert failure is None
    assert chunks[-1] == FinishChunk(Reason.TOOL_CALLS)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("word", ["length", "content_filter"])
def test_cut_calls_stay_cut(format: str, word: str) -> None:
    chunks, failure = decode(format, FORMATS[format][1](word, True))
    assert failure is None
    assert chunks[-1] == FinishChunk(Reason(word))


@pytest.mark.parametrize("word", [None, "", "null", "FINISH_REASON_UNSPECIFIED"])
@pytest.mark.parametrize("format", ["openai-chat", "anthropic", "gemini"])
def test_placeholder_is_no_end(format: str, word: str | None) -> None:
    chunks, failure = decode(format, FORMATS[format][1](word, False))
    assert chunks == [TextChunk("Hi")]
    assert failure is not None
    assert failure.kind is FailureKind.TRUNCATED


@pytest.mark.parametrize(
    ("make", "data", "marker"),
    [
        (OpenAIChatDecoder, chat(), DONE),
        (OpenAIChatDecoder, chat(), b"data: [DONE]"),
        (OpenAIChatDecoder, chat(), b'data: "[DONE]"\n\n'),
        (OpenAIChatDecoder, chat(), b"data: [done]"),
        (AnthropicDecoder, messages(), sse({"type": "message_stop"})),
        (AnthropicDecoder, messages(), DONE),
        (GeminiDecoder, gemini(), DONE),
        (ResponsesDecoder, sse({"type": "response.output_text.delta", "delta": "Hi"}), DONE),
    ],
)
def test_end_marker_after_text_is_an_end(
    make: Callable[[], Decoder], data: bytes, marker: bytes
) -> None:
    assert drained(make(), [data + marker]) == ([TextChunk("Hi"), FinishChunk(Reason.STOP)], None)
    _, failure = drained(make(), [marker])  # without an answer it is not the end of one
    assert failure is not None
    assert failure.kind is FailureKind.TRUNCATED


@pytest.mark.parametrize(
    ("make", "document"),
    [
        (OpenAIWholeDecoder, {"choices": [{"message": {"content": "Hi"}}]}),
        (AnthropicWholeDecoder, {"type": "message", "content": [{"type": "text", "text": "Hi"}]}),
        (GeminiWholeDecoder, {"candidates": [{"content": {"parts": [{"text": "Hi"}]}}]}),
    ],
)
def test_document_has_its_own_end(make: Callable[[], Decoder], document: Json) -> None:
    data = json.dumps(document).encode()
    assert drained(make(), [data]) == ([TextChunk("Hi"), FinishChunk(Reason.STOP)], None)


def test_line_that_is_not_done_is_not_an_end() -> None:
    data = lines({"message": {"content": "Hi"}, "done": False})
    for make in (OllamaDecoder, OllamaWholeDecoder):
        _, failure = drained(make(), [data])
        assert failure is not None
        assert failure.kind is FailureKind.TRUNCATED


def test_calls_before_an_end_marker_wait() -> None:
    chunks, _ = drained(OpenAIChatDecoder(), [chat(call=True) + DONE])
    assert chunks[-1] == FinishChunk(Reason.TOOL_CALLS)
    late, _ = drained(OpenAIChatDecoder(), [chat("stop") + chat(call=True) + DONE])
    assert late[-1] == FinishChunk(Reason.TOOL_CALLS)


def test_finish_in_every_frame_ends_nothing() -> None:
    thought = sse({"choices": [{"delta": {"reasoning_content": "hm"}, "finish_reason": "stop"}]})
    chunks, failure = drained(OpenAIChatDecoder(), [thought, chat("stop"), chat("stop"), DONE])
    assert failure is None
    finish = FinishChunk(Reason.STOP)
    assert chunks == [ReasoningChunk("hm"), finish, TextChunk("Hi"), TextChunk("Hi")]


def test_stop_replaces_no_other_reason() -> None:
    chunks, _ = drained(OpenAIChatDecoder(), [chat("stop") + chat("length") + chat("stop")])
    finishes = [chunk for chunk in chunks if isinstance(chunk, FinishChunk)]
    assert finishes == [FinishChunk(Reason.STOP), FinishChunk(Reason.LENGTH)]


@pytest.mark.parametrize(
    ("make", "data", "sequence"),
    [
        (AnthropicDecoder, messages("stop_sequence", stop_sequence="END"), "END"),
        (AnthropicDecoder, messages("end_turn", stop_sequence=None), None),
        (OpenAIChatDecoder, chat("stop", stop_reason="END"), "END"),
        (OpenAIChatDecoder, chat("stop", matched_stop="\n\n"), "\n\n"),
        (OpenAIChatDecoder, chat("stop", matched_stop=151645), None),
        (OpenAIChatDecoder, chat("stop", stop_reason="end_turn"), None),
        (OpenAIChatDecoder, chat("stop"), None),
    ],
)
def test_stop_sequence_that_was_met_is_named(
    make: Callable[[], Decoder], data: bytes, sequence: str | None
) -> None:
    chunks, failure = drained(make(), [data])
    assert failure is None
    assert chunks[-1] == FinishChunk(Reason.STOP, sequence)


def test_stop_sequence_of_a_document_is_named() -> None:
    document = {"type": "message", "content": [], "stop_reason": "stop_sequence"}
    data = json.dumps({**document, "stop_sequence": "END"}).encode()
    assert drained(AnthropicWholeDecoder(), [data])[0] == [FinishChunk(Reason.STOP, "END")]


@pytest.mark.parametrize("kind", ["response.cancelled", "response.failed"])
def test_cancelled_response_is_a_failure(kind: str) -> None:
    delta = {"type": "response.output_text.delta", "delta": "Hi"}
    data = sse(delta, {"type": kind, "response": {"status": kind.partition(".")[2]}}) + DONE
    chunks, failure = drained(ResponsesDecoder(), [data])
    assert chunks == [TextChunk("Hi")]
    assert failure is not None
    assert failure.kind is FailureKind.IN_STREAM_ERROR


def test_calls_of_a_response_wait_although_it_is_completed() -> None:
    item = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    response = {"status": "completed", "output": [item]}
    data = sse({"type": "response.completed", "response": response})
    assert drained(ResponsesDecoder(), [data])[0] == [
        ToolCallChunk(0, "c", "f", "{}"),
        FinishChunk(Reason.TOOL_CALLS),
    ]
