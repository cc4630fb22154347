"""Tests of decoders with hostile input, which must give chunks or an `UpstreamFailure`."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
import pytest

from actors.providers.formats.anthropic.decoder import AnthropicDecoder, AnthropicWholeDecoder
from actors.providers.formats.base import Decoder
from actors.providers.formats.gemini.decoder import GeminiDecoder, GeminiWholeDecoder
from actors.providers.formats.ollama.decoder import OllamaDecoder, OllamaWholeDecoder
from actors.providers.formats.openai_chat.decoder import OpenAIChatDecoder, OpenAIWholeDecoder
from actors.providers.formats.openai_responses.decoder import (
    ResponsesDecoder,
    ResponsesWholeDecoder,
)
from actors.providers.responses_websocket import MessageReader
from actors.turn.model_call import FailureKind
from tests.support.decoder_feeds import drained
from tests.support.scripted_connections import pieces_of

ROUNDS = 250

Frame = dict[str, Any]

CALL = {"id": "c1", "index": 0, "function": {"name": "f", "arguments": '{"a":1}'}}
LOGPROBS = {"content": [{"token": "H", "logprob": -0.5}]}
ERROR: Frame = {
    "error": {"message": "no", "type": "t", "code": 429, "details": [{"retryDelay": "3s"}]}
}
CHAT_USAGE = {"prompt_tokens": 3, "completion_tokens": 4}
CHAT: list[Frame] = [
    {"choices": [{"delta": {"content": "Héllo"}, "logprobs": LOGPROBS}]},
    {"choices": [{"delta": {"reasoning_content": "hm", "refusal": "no"}}]},
    {"choices": [{"delta": {"tool_calls": [CALL]}}]},
    {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": CHAT_USAGE},
    ERROR,
]
CHAT_WHOLE = {
    "choices": [{"message": {"content": "Hi", "tool_calls": [CALL]}, "finish_reason": "stop"}],
    "usage": CHAT_USAGE,
}
ITEMS: list[Frame] = [
    {"type": "message", "content": [{"type": "output_text", "text": "Hi"}]},
    {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
]
RESPONSE: Frame = {"status": "completed", "output": ITEMS, "usage": {"input_tokens": 1}}
RESPONSES: list[Frame] = [
    {"type": "response.output_text.delta", "output_index": 0, "delta": "Hi", "logprobs": [1]},
    {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{"},
    {"type": "response.output_item.done", "output_index": 1, "item": ITEMS[1]},
    {"type": "error", "status": 429, "headers": {"retry-after": "3"}, **ERROR},
    {"type": "response.completed", "response": RESPONSE},
]
MESSAGES: list[Frame] = [
    {"type": "message_start", "message": {"usage": {"input_tokens": 1, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "H"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "i"}},
    {"type": "content_block_start", "index": 1,
     "content_block": {"type": "tool_use", "id": "c", "name": "f", "input": {"a": [1]}}},
    {"type": "content_block_stop", "index": 1},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
    {"type": "error", **ERROR},
]  # fmt: skip
MESSAGE = {
    "type": "message",
    "content": [{"type": "text", "text": "Hi"}, MESSAGES[3]["content_block"]],
    "stop_reason": "tool_use",
    "usage": {"input_tokens": 1, "output_tokens": 2},
}
PARTS: list[Frame] = [{"text": "Hi"}, {"functionCall": {"name": "f", "args": {"a": [1]}}}]
CHOSEN = {"chosenCandidates": [{"token": "H", "logProbability": -0.5}]}
GEMINI: list[Frame] = [
    {"candidates": [{"content": {"parts": PARTS}, "logprobsResult": CHOSEN}]},
    {"candidates": [{"content": {"parts": [{"text": "x", "thought": True}]}}]},
    {"candidates": [{"finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 1}},
    ERROR,
]
OLLAMA_CALL = {"function": {"name": "f", "arguments": {"a": [1]}}}
OLLAMA: list[Frame] = [
    {"message": {"content": "Hi", "thinking": "hm", "tool_calls": [OLLAMA_CALL]}},
    {"message": {"content": "H"}, "logprobs": [{"token": "H", "logprob": -0.5}]},
    {"done": True, "done_reason": "stop", "prompt_eval_count": 1, "eval_count": 2},
    {"error": "no"},
]

SNIPPETS = [
    b"[" * 1500, b'{"a":' * 1500, b"[" * 1500 + b"]" * 1500, b'{"error":' + b"[" * 1500,
    b"\xff", b"\xc3", b"\xed\xa0\x80", b"\\ud83d", b"\\udc69", b"\\u0000", b"\0", b"\\", b'"',
    b"null", b"true", b"{}", b"[]", b"[[]]", b"{", b"}", b"]", b",", b":", b"-0", b"-1", b"1e999",
    b"1" * 40, b"NaN", b"0.5", b'""', b"\n", b"\n\n", b"\r", b"\r\n", b"data: ", b"event: error\n",
    b"data: [DONE]\n\n", b'"error":', b'"index":', b'"type":"error",', b"\xef\xbb\xbf", b" " * 70,
]  # fmt: skip


def events(frames: list[Frame]) -> bytes:
    return b"".join(b"data: " + as_bytes(frame) + b"\n\n" for frame in frames)


def lines(frames: list[Frame]) -> bytes:
    return b"".join(as_bytes(frame) + b"\n" for frame in frames)


def as_bytes(frame: object) -> bytes:
    return json.dumps(frame, ensure_ascii=False).encode()


Kind = Callable[[], Decoder]
ANSWERS: list[tuple[Kind, bytes]] = [
    (OpenAIChatDecoder, events(CHAT)),
    (OpenAIWholeDecoder, as_bytes(CHAT_WHOLE)),
    (ResponsesDecoder, events(RESPONSES)),
    (ResponsesWholeDecoder, as_bytes(RESPONSE)),
    (MessageReader, lines(RESPONSES)),
    (AnthropicDecoder, events(MESSAGES)),
    (AnthropicWholeDecoder, as_bytes(MESSAGE)),
    (GeminiDecoder, events(GEMINI)),
    (GeminiWholeDecoder, as_bytes(GEMINI)),
    (OllamaDecoder, lines(OLLAMA)),
    (OllamaWholeDecoder, as_bytes({**OLLAMA[0], **OLLAMA[2]})),
]


def mutated(answer: bytes, random: Random) -> bytes:
    """Return the answer with up to four random mutations."""
    for _ in range(random.randint(1, 4)):
        start = random.randint(0, len(answer))
        end = min(len(answer), start + random.choice([0, 1, 1, 8, 80]))
        inside = random.choice([*SNIPPETS, answer[end : end + 60], bytes([random.randint(0, 255)])])
        answer = answer[:start] + inside + (answer[end:] if random.random() < 0.9 else b"")
    return answer


def pieces(kind: Kind, answer: bytes, random: Random) -> list[bytes]:
    if kind is MessageReader:
        return answer.split(b"\n")
    return pieces_of(answer, [random.randint(0, len(answer)) for _ in range(4)])


@pytest.mark.parametrize(("kind", "answer"), ANSWERS)
def test_mutated_answers_raise_only_upstream_failures(kind: Kind, answer: bytes) -> None:
    for seed in range(ROUNDS):
        random = Random(seed)
        chunks, _ = drained(kind(), pieces(kind, mutated(answer, random), random))
        assert isinstance(msgspec.json.encode(chunks), bytes), seed


DEEP = [
    b"[" * 2000,
    b'{"a":' * 2000,
    b"[" * 2000 + b"]" * 2000,
    b'{"error":' + b"[" * 2000 + b"]" * 2000 + b"}",
    b'{"type":"error","error":{"message":"no"},"status":' + b"[" * 2000 + b"]" * 2000 + b"}",
    b'{"type":"error","status":429,"error":{"message":"no","a":'
    + b"[" * 2000
    + b"]" * 2000
    + b"}}",
]


@pytest.mark.parametrize(("kind", "answer"), ANSWERS)
@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n"])
@pytest.mark.parametrize("frame", DEEP)
@pytest.mark.parametrize("before", [b"", b"data: "])
def test_deeply_nested_frame_does_not_crash(
    kind: Kind, answer: bytes, before: bytes, frame: bytes, end: bytes
) -> None:
    _, failure = drained(kind(), [before + frame + end])
    assert failure is not None
    assert failure.kind is not FailureKind.REFUSED


def test_message_that_is_not_utf_8() -> None:
    odd = b'{"type":"response.output_text.delta","delta":"a","logprobs":{"\xff":1}}'
    broken = b'{"type":"response.failed","response":{"error":{"message":"\xff"}}}'
    chunks, failure = drained(MessageReader(), [odd, broken])
    assert len(chunks) == 1
    assert failure is not None
