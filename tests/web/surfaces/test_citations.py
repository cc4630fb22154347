"""Tests that the sources of an answer reach the clients of every API."""

import json
from typing import Any

import pytest
from trio.testing import MockClock

from tests.support.conversations import SURFACES, answer_on, body_for, request_of
from tests.support.edge_harness import open_harness
from tests.support.provider_streams import blocks, chunks_of, deltas, output, sse
from tests.support.responses_requests import last_call
from tests.support.turn_fakes import ScriptedProvider

Object = dict[str, Any]
URL, TITLE = "https://example.org/a", "A"
TEXT = "Grüße. It rains [1]."
"""Its second sentence begins at character 7, and in UTF-8 at byte 9."""
START, END = 7, 20
CITED = {"start_index": START, "end_index": END, "url": URL, "title": TITLE}
NESTED = {"type": "url_citation", "url_citation": CITED}
FLAT = {"type": "url_citation", **CITED}
SEARCHED = {
    "type": "web_search_result_location",
    "url": URL,
    "title": TITLE,
    "encrypted_index": "e",
    "cited_text": "rain",
}
MESSAGE = {"type": "message", "role": "assistant", "status": "completed", "id": "m"}
SOURCES = {"groundingChunks": [{"web": {"uri": URL, "title": TITLE}}]}
SEGMENT = {"segment": {"startIndex": 9, "endIndex": 22}, "groundingChunkIndices": [0, 5]}


def grounded(**metadata: object) -> bytes:
    content = {"role": "model", "parts": [{"text": TEXT}]}
    first = {"candidates": [{"content": content}]}
    last = {"candidates": [{"finishReason": "STOP", "groundingMetadata": SOURCES | metadata}]}
    return sse(first, last)


CASES: dict[str, tuple[str, bytes]] = {
    "Chat": ("openai-chat", deltas({"content": TEXT}, {"annotations": [NESTED, NESTED]})),
    "Perplexity": (
        "openai-chat",
        deltas({"content": TEXT}).replace(
            b'{"choices"', b'{"citations": ["' + URL.encode() + b'"], "choices"'
        ),
    ),
    "Responses": (
        "openai-responses",
        sse(
            {"type": "response.output_text.delta", "delta": TEXT, "output_index": 0},
            {"type": "response.output_text.annotation.added", "annotation": FLAT},
        )
        + output(
            MESSAGE | {"content": [{"type": "output_text", "text": TEXT, "annotations": [FLAT]}]}
        ),
    ),
    "whole Responses": (
        "openai-responses",
        output(
            MESSAGE | {"content": [{"type": "output_text", "text": TEXT, "annotations": [FLAT]}]}
        ),
    ),
    "Anthropic": (
        "anthropic",
        blocks(
            {"type": "text", "text": TEXT[:START]},
            {"type": "text", "text": TEXT[START:], "citations": [SEARCHED]},
            reason="end_turn",
        ),
    ),
    "Gemini": ("gemini", grounded(groundingSupports=[SEGMENT, SEGMENT])),
    "Gemini without segments": ("gemini", grounded()),
}
"""Answers with one source: format and stream."""
PLACES = {"Perplexity": (0, 0), "Gemini without segments": (0, len(TEXT))}
"""Cited part of the text, where it isn't the second sentence."""


def citations_in(surface: str, answer: list[Object]) -> list[Object]:
    match surface:
        case "chat":
            return [one["url_citation"] for one in answer[0]["annotations"]]
        case "messages":
            return list(answer[0]["content"][0]["citations"])
        case _:
            return list(answer[0]["content"][0]["annotations"])


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("case", CASES)
async def test_sources_reach_clients(
    case: str, surface: str, stream: bool, autojump_clock: MockClock
) -> None:
    format, scripted = CASES[case]
    async with open_harness(ScriptedProvider(chunks_of(format, scripted))) as harness:
        answer = await answer_on(harness, surface, request_of(surface), stream=stream)
        [cited] = citations_in(surface, answer)
        start, end = PLACES.get(case, (START, END))
        assert cited["url"] == URL
        assert cited["title"] == ("" if case == "Perplexity" else TITLE)
        if surface != "messages":
            assert (cited["start_index"], cited["end_index"]) == (start, end)
        elif format == "anthropic":
            assert cited == SEARCHED
        else:
            assert cited["cited_text"] == TEXT[start:end]
        # An answer with citations can be sent back to any provider.
        again = request_of(surface, *answer, {"role": "user", "content": "And?"})
        await answer_on(harness, surface, again, stream=stream)
        call = last_call(harness)
        for other in ("anthropic", "openai-chat", "openai-responses"):
            sent = json.dumps(body_for(other, call), ensure_ascii=False)
            assert "It rains [1]." in sent
            returned = surface == "messages" and format == other == "anthropic"
            assert (URL in sent) is returned
