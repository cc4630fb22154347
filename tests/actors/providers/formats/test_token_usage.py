"""Tests that bills are right in every spelling of usage, and that no later zero erases a count."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from actors.providers.formats.anthropic.decoder import AnthropicDecoder
from actors.providers.formats.base import Decoder
from actors.providers.formats.gemini.decoder import GeminiDecoder
from actors.providers.formats.ollama.decoder import OllamaDecoder
from actors.providers.formats.openai_chat.decoder import OpenAIChatDecoder
from actors.providers.formats.openai_responses.decoder import ResponsesDecoder
from actors.turn.chunks import UsageChunk
from actors.turn.outcome import Price, Usage, cost_micros
from tests.support.decoder_feeds import drained

PRICE = Price(input=1_000_000, output=10_000_000, cached_input=100_000, cache_write=1_250_000)
"""Micro-dollars: 1 per input token (cached 0.1, written to a cache 1.25), 10 per output token."""

DECODERS: dict[str, Callable[[], Decoder]] = {
    "openai-chat": OpenAIChatDecoder,
    "openai-responses": ResponsesDecoder,
    "anthropic": AnthropicDecoder,
    "gemini": GeminiDecoder,
    "ollama": OllamaDecoder,
}
Frames = list[dict[str, Any]]


def used(given: int, made: int, *, read: int = 0, written: int = 0, reasoning: int = 0) -> Usage:
    return Usage(
        input_tokens=given,
        output_tokens=made,
        cached_input_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=reasoning,
    )


def reported(format: str, frames: Frames) -> Usage:
    """Return the last usage that the format's decoder reports for these frames."""
    if format == "ollama":
        data = b"".join(json.dumps(frame).encode() + b"\n" for frame in frames)
    else:
        data = b"".join(b"data: %b\n\n" % json.dumps(frame).encode() for frame in frames)
    chunks, failure = drained(DECODERS[format](), [data])
    assert failure is None
    return [chunk.usage for chunk in chunks if isinstance(chunk, UsageChunk)][-1]


def chat(usage: object, **more: object) -> Frames:
    """Return an answer with this usage in a last frame without choices."""
    return [
        {"choices": [{"delta": {"content": "x"}}]},
        {"choices": [{"delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": usage, **more},
    ]


def in_choice(usage: object) -> Frames:
    choice = {"delta": {"content": "x"}, "finish_reason": "stop", "usage": usage}
    return [{"choices": [choice]}]


def responses(usage: object) -> Frames:
    return [{"type": "response.completed", "response": {"status": "completed", "usage": usage}}]


def messages(start: object, delta: object, stop: object = None) -> Frames:
    last = {} if stop is None else {"amazon-bedrock-invocationMetrics": stop}
    return [
        {"type": "message_start", "message": {"usage": start}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": delta},
        {"type": "message_stop", **last},
    ]


def gemini(*usages: object) -> Frames:
    text = {"content": {"parts": [{"text": "x"}]}}
    frames: Frames = [{"candidates": [text], "usageMetadata": usage} for usage in usages]
    frames[-1]["candidates"] = [{**text, "finishReason": "STOP"}]
    return frames


OPENAI = {"prompt_tokens": 5000, "completion_tokens": 7, "total_tokens": 5007}
CACHED = used(5000, 7, read=4800)
CACHED_MICROS = 200 + 480 + 70
WRITTEN = used(5000, 7, read=3000, written=1000)
WRITTEN_MICROS = 1000 + 300 + 1250 + 70

SPELLINGS: list[tuple[str, str, Frames, Usage, int]] = [
    ("plain", "openai-chat", chat(OPENAI), used(5000, 7), 5070),
    (
        "OpenAI",
        "openai-chat",
        chat({**OPENAI, "prompt_tokens_details": {"cached_tokens": 4800}}),
        CACHED,
        CACHED_MICROS,
    ),
    (
        "DeepSeek",
        "openai-chat",
        chat({**OPENAI, "prompt_cache_hit_tokens": 4800, "prompt_cache_miss_tokens": 200}),
        CACHED,
        CACHED_MICROS,
    ),
    (
        "Moonshot, in the choice",
        "openai-chat",
        in_choice({**OPENAI, "cached_tokens": 4800}),
        CACHED,
        CACHED_MICROS,
    ),
    (
        "Groq, in its extension",
        "openai-chat",
        [*in_choice(None), {"x_groq": {"usage": {**OPENAI, "cached_tokens": 4800}}}],
        CACHED,
        CACHED_MICROS,
    ),
    (
        "Mistral",
        "openai-chat",
        chat({**OPENAI, "num_cached_tokens": 4800, "prompt_token_details": None}),
        CACHED,
        CACHED_MICROS,
    ),
    (
        "llama.cpp",
        "openai-chat",
        chat(OPENAI, timings={"cache_n": 4800, "prompt_n": 200, "predicted_ms": 1.5}),
        CACHED,
        CACHED_MICROS,
    ),
    (
        "xAI's earlier API",
        "openai-chat",
        chat({**OPENAI, "prompt_tokens_details": {"cached_prompt_text_tokens": 4800}}),
        CACHED,
        CACHED_MICROS,
    ),
    (
        "a proxy with LangChain's words",
        "openai-chat",
        chat({**OPENAI, "input_token_details": {"cache_read": 4800, "cache_creation": 0}}),
        CACHED,
        CACHED_MICROS,
    ),
    (
        "new-api",
        "openai-chat",
        chat(
            {
                **OPENAI,
                "prompt_tokens_details": {"cached_tokens": 3000, "cached_creation_tokens": 1000},
                "claude_cache_creation_5_m_tokens": 600,
                "claude_cache_creation_1_h_tokens": 400,
            }
        ),
        WRITTEN,
        1000 + 300 + 1250 + 70,
    ),
    (
        "camel case",
        "openai-chat",
        chat({"inputTokens": 5000, "outputTokens": 7, "cachedInputTokens": 4800}),
        CACHED,
        CACHED_MICROS,
    ),
    (
        "LiteLLM",
        "openai-chat",
        chat(
            {
                **OPENAI,
                "prompt_tokens_details": {"cached_tokens": 3000, "cache_creation_tokens": 1000},
                "cache_read_input_tokens": 3000,
                "cache_creation_input_tokens": 1000,
            }
        ),
        WRITTEN,
        WRITTEN_MICROS,
    ),
    (
        "OpenRouter",
        "openai-chat",
        chat(
            {
                **OPENAI,
                "cost": 0.95,
                "prompt_tokens_details": {"cached_tokens": 3000, "cache_write_tokens": 1000},
            }
        ),
        WRITTEN,
        WRITTEN_MICROS,
    ),
    (
        "DashScope",
        "openai-chat",
        chat(
            {
                **OPENAI,
                "prompt_tokens_details": {
                    "cached_tokens": 3000,
                    "cache_creation": {"ephemeral_5m_input_tokens": 1000},
                    "cache_type": "ephemeral",
                },
            }
        ),
        WRITTEN,
        WRITTEN_MICROS,
    ),
    (
        "the input without the cache, as the total proves",
        "openai-chat",
        chat(
            {
                "prompt_tokens": 1000,
                "completion_tokens": 7,
                "total_tokens": 5007,
                "cache_read_input_tokens": 3000,
                "cache_creation_input_tokens": 1000,
            }
        ),
        WRITTEN,
        WRITTEN_MICROS,
    ),
    (
        "the input without the cache, of which it would be a part",
        "openai-chat",
        chat({"prompt_tokens": 200, "completion_tokens": 7, "cache_read_input_tokens": 4800}),
        CACHED,
        CACHED_MICROS,
    ),
    (
        "OpenAI's reasoning, part of the output",
        "openai-chat",
        chat(
            {
                "prompt_tokens": 10,
                "completion_tokens": 40,
                "total_tokens": 50,
                "completion_tokens_details": {"reasoning_tokens": 30},
            }
        ),
        used(10, 40, reasoning=30),
        410,
    ),
    (
        "SGLang's reasoning",
        "openai-chat",
        chat({"prompt_tokens": 10, "completion_tokens": 40, "reasoning_tokens": 30}),
        used(10, 40, reasoning=30),
        410,
    ),
    (
        "xAI's reasoning, not part of the output",
        "openai-chat",
        chat(
            {
                "prompt_tokens": 10,
                "completion_tokens": 10,
                "total_tokens": 50,
                "completion_tokens_details": {"reasoning_tokens": 30},
            }
        ),
        used(10, 40, reasoning=30),
        410,
    ),
    (
        "Gemini's thoughts through OpenAI's API, in the total only",
        "openai-chat",
        chat({"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 50}),
        used(10, 40, reasoning=30),
        410,
    ),
    (
        "a total instead of the output",
        "openai-chat",
        chat({"prompt_tokens": 10, "total_tokens": 50}),
        used(10, 40),
        410,
    ),
    (
        "Responses",
        "openai-responses",
        responses(
            {
                "input_tokens": 5000,
                "output_tokens": 7,
                "total_tokens": 5007,
                "input_tokens_details": {"cached_tokens": 3000, "cache_write_tokens": 1000},
                "output_tokens_details": {"reasoning_tokens": 3},
            }
        ),
        used(5000, 7, read=3000, written=1000, reasoning=3),
        WRITTEN_MICROS,
    ),
    (
        "Responses, beside the response",
        "openai-responses",
        [
            {
                "type": "response.completed",
                "response": {},
                "usage": {**OPENAI, "cached_tokens": 4800},
            }
        ],
        CACHED,
        CACHED_MICROS,
    ),
    (
        "Responses in the spelling of Chat",
        "openai-responses",
        responses({**OPENAI, "prompt_cache_hit_tokens": 4800}),
        CACHED,
        CACHED_MICROS,
    ),
    (
        "Anthropic",
        "anthropic",
        messages(
            {
                "input_tokens": 1000,
                "cache_read_input_tokens": 3000,
                "cache_creation_input_tokens": 1000,
                "cache_creation": {"ephemeral_5m_input_tokens": 400},
                "output_tokens": 1,
            },
            {"output_tokens": 7, "output_tokens_details": {"thinking_tokens": 3}},
        ),
        used(5000, 7, read=3000, written=1000, reasoning=3),
        WRITTEN_MICROS,
    ),
    (
        "Anthropic's writes by lifetime only",
        "anthropic",
        messages(
            {
                "input_tokens": 1000,
                "cache_read_input_tokens": 3000,
                "cache_creation": {
                    "ephemeral_5m_input_tokens": 400,
                    "ephemeral_1h_input_tokens": 600,
                },
            },
            {"output_tokens": 7},
        ),
        WRITTEN,
        WRITTEN_MICROS,
    ),
    (
        "Bedrock's metrics at the end",
        "anthropic",
        messages(
            {"input_tokens": 0, "output_tokens": 0},
            None,
            {
                "inputTokenCount": 1000,
                "outputTokenCount": 7,
                "cacheReadInputTokenCount": 3000,
                "cacheWriteInputTokenCount": 1000,
                "firstByteLatency": 300,
            },
        ),
        WRITTEN,
        WRITTEN_MICROS,
    ),
    (
        "Gemini",
        "gemini",
        gemini(
            {"promptTokenCount": 5000},
            {
                "promptTokenCount": 4990,
                "toolUsePromptTokenCount": 10,
                "cachedContentTokenCount": 4800,
                "candidatesTokenCount": 4,
                "thoughtsTokenCount": 3,
                "totalTokenCount": 5007,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 4990}],
            },
        ),
        used(5000, 7, read=4800, reasoning=3),
        CACHED_MICROS,
    ),
    (
        "Gemini with the thoughts among the candidates",
        "gemini",
        gemini(
            {
                "promptTokenCount": 10,
                "candidatesTokenCount": 40,
                "thoughtsTokenCount": 30,
                "totalTokenCount": 50,
            }
        ),
        used(10, 40, reasoning=30),
        410,
    ),
    (
        "Ollama",
        "ollama",
        [{"message": {"content": "x"}, "done": True, "prompt_eval_count": 10, "eval_count": 40}],
        used(10, 40),
        410,
    ),
]


@pytest.mark.parametrize(
    ("format", "frames", "usage", "micros"),
    [case[1:] for case in SPELLINGS],
    ids=[case[0] for case in SPELLINGS],
)
def test_bill_is_right_in_every_spelling(
    format: str, frames: Frames, usage: Usage, micros: int
) -> None:
    assert reported(format, frames) == usage
    assert cost_micros(usage, PRICE) == micros


FULL = {**OPENAI, "prompt_tokens_details": {"cached_tokens": 4800}}
MESSAGES = {"input_tokens": 200, "cache_read_input_tokens": 4800, "output_tokens": 7}
METADATA = {"promptTokenCount": 5000, "candidatesTokenCount": 7, "cachedContentTokenCount": 4800}


@pytest.mark.parametrize(
    ("format", "frames"),
    [
        ("openai-chat", [*chat(FULL), *chat(dict.fromkeys(OPENAI, 0))]),
        ("openai-chat", [*chat(FULL), *chat({"prompt_tokens_details": {"cached_tokens": 0}})]),
        ("openai-chat", [*chat(FULL), *chat({**FULL, "cached_tokens": 0})]),
        ("anthropic", messages(MESSAGES, dict.fromkeys(MESSAGES, 0))),
        ("anthropic", messages(dict.fromkeys(MESSAGES, 0), MESSAGES, {"inputTokenCount": 0})),
        ("gemini", gemini(METADATA, dict.fromkeys(METADATA, 0))),
    ],
)
def test_a_later_zero_erases_no_count(format: str, frames: Frames) -> None:
    assert reported(format, frames) == CACHED


@pytest.mark.parametrize("usage", [{}, [], "12", {"prompt_tokens": "5"}, {"prompt_tokens": True}])
def test_usage_without_counts_is_not_reported(usage: object) -> None:
    data = b"".join(b"data: %b\n\n" % json.dumps(frame).encode() for frame in chat(usage))
    chunks, failure = drained(OpenAIChatDecoder(), [data])
    assert failure is None
    assert not any(isinstance(chunk, UsageChunk) for chunk in chunks)
