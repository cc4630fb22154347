"""Tests of joining surrogates: servers that split UTF-16 text, as JavaScript does, lose nothing."""

import json
import re
import time
from collections.abc import Callable
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.providers.formats.anthropic.decoder import AnthropicDecoder
from actors.providers.formats.base import Decoder
from actors.providers.formats.gemini.decoder import GeminiDecoder, GeminiWholeDecoder
from actors.providers.formats.ollama.decoder import OllamaDecoder
from actors.providers.formats.openai_chat.decoder import OpenAIChatDecoder
from actors.providers.formats.openai_responses.decoder import ResponsesDecoder
from actors.providers.formats.surrogates import SurrogateJoiner
from actors.turn.chunks import FinishChunk, TextChunk
from tests.support.decoder_feeds import cut_everywhere, drained

FAMILY = "a 👩‍👩‍👧‍👦 b"


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    """Return the text cut between UTF-16 units, possibly inside a character."""
    data = text.encode("utf-16-le")
    places = sorted({2 * min(cut, len(data) // 2) for cut in cuts} | {0, len(data)})
    return [data[a:b].decode("utf-16-le", "surrogatepass") for a, b in pairwise(places)]


def json_stringify(value: object) -> str:
    """Return JSON as `JSON.stringify` writes it, with only surrogates escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return re.sub("[\ud800-\udfff]", lambda half: f"\\u{ord(half[0]):x}", text)


def as_ascii(value: object) -> str:
    return json.dumps(value)


def read(frames: list[bytes]) -> str:
    """Return the joined texts of the frames."""
    halves, texts = SurrogateJoiner(), []
    for frame in frames:
        joined = halves.joined(frame)
        texts.append(msgspec.json.decode(joined or frame, type=dict[str, str])["d"])
    return "".join(texts)


@pytest.mark.parametrize("write", [json_stringify, as_ascii])
@given(
    text=st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('👩🇨𐍈"\\u')),
    cuts=st.lists(st.integers(0, 40)),
)
def test_split_surrogates_are_joined(
    write: Callable[[object], str], text: str, cuts: list[int]
) -> None:
    assert read([write({"d": piece}).encode() for piece in pieces_of(text, cuts)]) == text


@pytest.mark.parametrize(
    "frame",
    [b'{"d":"x"}', b'{"d":"\\u00e9\\n"}', b'{"d":"\\ud83d\\udc69"}', b'{"d":"\\\\ud83d"}', b"{"],
)
def test_frame_without_surrogates_is_unchanged(frame: bytes) -> None:
    assert SurrogateJoiner().joined(frame) is None


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (r'{"d":"\udc69"}', "\ufffd"),
        (r'{"d":"a\uDC69b"}', "a\ufffdb"),
        (r'{"d":"\"\udc69"}', '"\ufffd'),
        (r'{"d":"\ud83d b"}', "\ufffd b"),
        (r'{"d":"\ud83d\ud83d\udc69"}', "\ufffd👩"),
        (r'{"d":"\ud83d\""}', '\ufffd"'),
    ],
)
def test_lone_surrogate_becomes_a_replacement_character(frame: str, text: str) -> None:
    assert read([frame.encode()]) == text


def test_surrogate_is_joined_only_at_the_start_of_a_string() -> None:
    halves = SurrogateJoiner()
    assert halves.joined(rb'{"d":"x\ud83d"}') == b'{"d":"x"}'
    assert halves.joined(rb'{"d":"y\udc69"}') == rb'{"d":"y\ufffd"}'
    assert halves.joined(rb'{"d":"\udc69"}') == rb'{"d":"\ud83d\udc69"}'
    assert halves.joined(rb'{"d":"\udc69"}') == rb'{"d":"\ufffd"}'


@pytest.mark.parametrize("escape", [rb"\udc69", rb"\n", b'"', rb"\ud83d"])
def test_joining_is_fast(escape: bytes) -> None:
    started = time.process_time()
    for size in (1_000, 16_000, 1_000_000):
        SurrogateJoiner().joined(escape * (size // len(escape)))
    assert time.process_time() - started < 0.05


def sse(value: object) -> bytes:
    return b"data: " + json_stringify(value).encode() + b"\n\n"


def line(value: object) -> bytes:
    return json_stringify(value).encode() + b"\n"


def chat(text: str) -> bytes:
    return sse({"choices": [{"index": 0, "delta": {"content": text}}]})


def responses(text: str) -> bytes:
    return sse({"type": "response.output_text.delta", "delta": text})


def anthropic(text: str) -> bytes:
    delta = {"type": "text_delta", "text": text}
    return sse({"type": "content_block_delta", "index": 0, "delta": delta})


def gemini(text: str) -> bytes:
    return sse({"candidates": [{"content": {"parts": [{"text": text}]}}]})


def ollama(text: str) -> bytes:
    return line({"message": {"content": text}, "done": False})


FORMATS: list[tuple[Callable[[], Decoder], Callable[[str], bytes], bytes]] = [
    (OpenAIChatDecoder, chat, sse({"choices": [{"index": 0, "finish_reason": "stop"}]})),
    (ResponsesDecoder, responses, sse({"type": "response.completed", "response": {}})),
    (AnthropicDecoder, anthropic, sse({"type": "message_delta", "delta": {"stop_reason": "x"}})),
    (GeminiDecoder, gemini, sse({"candidates": [{"finishReason": "STOP"}]})),
    (OllamaDecoder, ollama, line({"done": True})),
]


@pytest.mark.parametrize(("decoder", "frame", "end"), FORMATS)
def test_all_formats_join_split_surrogates(
    decoder: Callable[[], Decoder], frame: Callable[[str], bytes], end: bytes
) -> None:
    pieces = pieces_of(FAMILY, list(range(1, 14)))
    chunks, failure = cut_everywhere(decoder, b"".join(map(frame, pieces)) + end)
    assert failure is None
    assert "".join(c.text for c in chunks if isinstance(c, TextChunk)) == FAMILY
    assert isinstance(chunks[-1], FinishChunk)


def test_in_an_array_no_frame_is_read_twice() -> None:
    pieces = pieces_of(FAMILY, list(range(1, 14)))
    frames = [{"candidates": [{"content": {"parts": [{"text": piece}]}}]} for piece in pieces]
    end = {"candidates": [{"finishReason": "STOP"}]}
    data = json_stringify([*frames, end]).encode()
    chunks, failure = drained(GeminiWholeDecoder(), [data])
    assert failure is None
    assert "".join(c.text for c in chunks if isinstance(c, TextChunk)) == FAMILY
