"""Tests of the behaviour that the decoders of all formats share."""

from collections.abc import Callable

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
from actors.providers.redaction import Scrub, scrubber
from actors.providers.responses_websocket import MessageReader
from actors.turn.chunks import SkippedChunk, TextChunk
from tests.support.decoder_feeds import drained

Kind = Callable[[Scrub], Decoder]

EVENTS: list[Kind] = [OpenAIChatDecoder, ResponsesDecoder, AnthropicDecoder, GeminiDecoder]
WHOLE: list[Kind] = [
    OpenAIWholeDecoder,
    ResponsesWholeDecoder,
    AnthropicWholeDecoder,
    GeminiWholeDecoder,
]
ALL: list[Kind] = [*EVENTS, *WHOLE, OllamaDecoder, OllamaWholeDecoder, MessageReader]

KEY = "a-key/of-ours-0123456789abcdef"


def framed(kind: Kind, frame: bytes) -> bytes:
    """Return the frame with the framing of this kind of stream."""
    if kind in EVENTS:
        return b"data: " + frame + b"\n\n"
    return frame + b"\n" if kind is OllamaDecoder else frame


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("key", [KEY, KEY.replace("/", "\\/")])
@pytest.mark.parametrize("before", ["", "x" * 40, "x" * 70])
def test_malformed_frame_detail_contains_no_secret(kind: Kind, key: str, before: str) -> None:
    frame = f'{{"said": "{before} key {key} and sk-another-key-0123456789'.encode()
    (skipped,), _ = drained(kind(scrubber([KEY])), [framed(kind, frame)])
    assert isinstance(skipped, SkippedChunk)
    assert "said" in skipped.detail
    assert KEY[:6] not in skipped.detail
    assert "another" not in skipped.detail
    assert len(skipped.detail) < 100


@pytest.mark.parametrize("kind", EVENTS)
def test_number_of_examined_malformed_frames_is_bounded(kind: Kind) -> None:
    chunks, _ = drained(kind(scrubber([KEY])), [framed(kind, b'{"odd"') * 300])
    details = [chunk.detail for chunk in chunks if isinstance(chunk, SkippedChunk)]
    assert len(details) == 300
    assert [detail for detail in details if "odd" in detail] == details[:100]


TEXTS: dict[Kind, bytes] = {
    OpenAIChatDecoder: b'{"choices":[{"delta":{"content":"NaN, Infinity"},'
    b'"logprobs":{"content":[{"token":"a","logprob":%b}]}}]}',
    ResponsesDecoder: b'{"type":"response.output_text.delta","delta":"NaN, Infinity",'
    b'"logprobs":[{"token":"a","logprob":%b}]}',
    AnthropicDecoder: b'{"type":"content_block_delta","x":%b,'
    b'"delta":{"type":"text_delta","text":"NaN, Infinity"}}',
    GeminiDecoder: b'{"candidates":[{"content":{"parts":[{"text":"NaN, Infinity"}]},'
    b'"avgLogprobs":%b}]}',
    OllamaDecoder: b'{"message":{"content":"NaN, Infinity"},"logprobs":[{"logprob":%b}]}',
}


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("word", [b"NaN", b"Infinity", b"-Infinity", b"nan", b"-inf"])
def test_number_that_json_does_not_have_costs_no_text(kind: Kind, word: bytes) -> None:
    chunks, _ = drained(kind(str), [framed(kind, TEXTS[kind] % word)])
    (text,) = chunks
    assert isinstance(text, TextChunk)
    assert text.text == "NaN, Infinity"
    assert word.decode() not in (text.logprobs or "")


def test_repairing_a_frame_takes_linear_time() -> None:
    frame = b'{"x":"' + b'\\"' * 1_000_000 + b"NaN"
    drained(OpenAIChatDecoder(), [framed(OpenAIChatDecoder, frame)])
