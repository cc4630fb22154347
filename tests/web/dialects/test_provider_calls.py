"""Tests that the tool calls of all formats reach clients of all dialects in a usable form."""

import json
from typing import Any

import pytest

from actors.accumulator import Accumulator
from actors.answer.builder import AnswerBuilder
from actors.providers.formats.anthropic.decoder import AnthropicDecoder
from actors.providers.formats.base import Decoder
from actors.providers.formats.gemini.decoder import GeminiDecoder
from actors.providers.formats.ollama.decoder import OllamaDecoder
from actors.providers.formats.openai_chat.decoder import OpenAIChatDecoder
from actors.providers.formats.openai_responses.decoder import ResponsesDecoder
from actors.turn.chunks import FinishChunk
from actors.turn.events import AnyEvent
from actors.turn.outcome import Reason
from tests.support.decoder_feeds import drained
from tests.support.sample_events import STARTED, ended
from web.dialects.anthropic_messages.message import DIALECT as MESSAGES
from web.dialects.base import DialectSpec
from web.dialects.frames import START, data_of
from web.dialects.openai_chat.completion import DIALECT as CHAT
from web.dialects.openai_responses.stream import DIALECT as RESPONSES

Json = dict[str, Any]
Call = tuple[str, str]
"""Id and arguments of a call as a client gets them."""
MISSING = object()

FORMATS: dict[str, type[Decoder]] = {
    "openai-chat": OpenAIChatDecoder,
    "openai-chat without indexes": OpenAIChatDecoder,
    "openai-responses": ResponsesDecoder,
    "openai-responses at the end": ResponsesDecoder,
    "anthropic": AnthropicDecoder,
    "gemini": GeminiDecoder,
    "ollama": OllamaDecoder,
}


def with_id(name: str, id: object, fields: Json) -> Json:
    return fields if id is MISSING else {name: id, **fields}


def frames_of(format: str, ids: list[object], arguments: str) -> list[Json]:
    """Return an answer with a call of the function `f` for each of the ids."""
    match format.split()[0]:
        case "openai-chat":
            function = {"name": "f", "arguments": arguments}
            calls = [with_id("id", id, {"function": function}) for id in ids]
            if "without" not in format:
                calls = [{"index": n, **call} for n, call in enumerate(calls)]
            deltas = [{"choices": [{"delta": {"tool_calls": [call]}}]} for call in calls]
            return [*deltas, {"choices": [{"delta": {}, "finish_reason": "stop"}]}]
        case "openai-responses":
            fields: Json = {"type": "function_call", "name": "f", "arguments": arguments}
            items = [
                {"id": f"fc_{n}", **with_id("call_id", id, fields)} for n, id in enumerate(ids)
            ]
            places = [{"output_index": n, "item": item} for n, item in enumerate(items)]
            end = {"type": "response.completed", "response": {"output": items}}
            if "end" in format:
                return [end]
            kinds = ("response.output_item.added", "response.output_item.done")
            return [*({"type": kind, **place} for place in places for kind in kinds), end]
        case "anthropic":
            fields = {"type": "tool_use", "name": "f", "input": {}}
            starts = [
                {"index": n, "content_block": with_id("id", id, fields)} for n, id in enumerate(ids)
            ]
            pieces = [
                {"index": n, "delta": {"type": "input_json_delta", "partial_json": arguments}}
                for n in range(len(ids))
            ]
            return [
                *({"type": "content_block_start", **start} for start in starts),
                *({"type": "content_block_delta", **piece} for piece in pieces),
                {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
            ]
        case "gemini":
            fields = {"name": "f", "args": json.loads(arguments or "{}")}
            parts = [{"functionCall": with_id("id", id, fields)} for id in ids]
            return [{"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}]
        case _:
            fields = {"function": {"name": "f", "arguments": json.loads(arguments or "{}")}}
            called = [with_id("id", id, fields) for id in ids]
            return [{"message": {"tool_calls": called}, "done": True, "done_reason": "stop"}]


def journal_of(format: str, frames: list[Json]) -> list[AnyEvent]:
    """Return the journal of a turn that gets these frames."""
    end = b"\n" if format == "ollama" else b"\n\n"
    prefix = b"" if format == "ollama" else b"data: "
    data = b"".join(prefix + json.dumps(frame).encode() + end for frame in frames)
    chunks, failure = drained(FORMATS[format](), [data])
    assert failure is None
    assert chunks.pop() == FinishChunk(Reason.TOOL_CALLS)
    answer = AnswerBuilder()
    journal: list[AnyEvent] = [STARTED]
    for draft in Accumulator(10_000).step([STARTED, *chunks, FinishChunk(Reason.TOOL_CALLS)])[1:]:
        if not isinstance(draft, FinishChunk):
            answer.add(draft)
            journal.append(draft)
    return [*journal, *answer.whole_calls(), ended(Reason.TOOL_CALLS)]


def streamed(dialect: DialectSpec, journal: list[AnyEvent]) -> list[Json]:
    stream = dialect.stream({}, START)
    data = stream.render(journal)
    while stream.pending:
        data += stream.render([])
    return [json.loads(one) for one in data_of(data) if one != b"[DONE]"]


def chat_calls(journal: list[AnyEvent]) -> list[Call]:
    calls: dict[int, Call] = {}
    for frame in streamed(CHAT, journal):
        for piece in frame["choices"][0]["delta"].get("tool_calls", []):
            if piece["index"] not in calls:  # the first piece of each call
                assert piece["type"] == "function"
                assert piece["function"]["name"] == "f"
                calls[piece["index"]] = (piece["id"], "")
            id, text = calls[piece["index"]]
            assert piece.get("id", id) == id
            calls[piece["index"]] = (id, text + piece["function"]["arguments"])
    whole: Any = CHAT.whole(journal, {}, None)
    made = whole["choices"][0]["message"]["tool_calls"]
    assert [(call["id"], call["function"]["arguments"]) for call in made] == list(calls.values())
    return list(calls.values())


def messages_calls(journal: list[AnyEvent]) -> list[Call]:
    calls: dict[int, Call] = {}
    for frame in streamed(MESSAGES, journal):
        if frame["type"] == "content_block_start":
            calls[frame["index"]] = (frame["content_block"]["id"], "")
        elif frame["type"] == "content_block_delta":
            id, text = calls[frame["index"]]
            calls[frame["index"]] = (id, text + frame["delta"]["partial_json"])
    whole: Any = json.loads(json.dumps(MESSAGES.whole(journal, {}, None), default=str))
    assert [block["id"] for block in whole["content"]] == [id for id, _ in calls.values()]
    return list(calls.values())


def responses_calls(journal: list[AnyEvent]) -> list[Call]:
    frames = streamed(RESPONSES, journal)
    done = [frame["item"] for frame in frames if frame["type"] == "response.output_item.done"]
    assert frames[-1]["response"]["output"] == done
    pieces: dict[str, str] = {}
    for frame in frames:
        if frame["type"] == "response.function_call_arguments.delta":
            pieces[frame["item_id"]] = pieces.get(frame["item_id"], "") + frame["delta"]
    assert list(pieces.values()) == [item["arguments"] for item in done]
    return [(item["call_id"], item["arguments"]) for item in done]


READERS = {"chat": chat_calls, "messages": messages_calls, "responses": responses_calls}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "ids",
    [[MISSING, MISSING], [None, None], ["", ""], [7, 7], [0, 1], ["a", "a"], ["a", MISSING]],
    ids=["missing", "null", "empty", "one number", "numbers", "repeated", "some"],
)
def test_each_call_has_an_id_of_its_own_in_every_dialect(format: str, ids: list[object]) -> None:
    journal = journal_of(format, frames_of(format, ids, '{"q":1}'))
    seen = [read(journal) for read in READERS.values()]
    assert seen[0] == seen[1] == seen[2]
    found, texts = zip(*seen[0], strict=True)
    assert len(set(found)) == len(ids)
    assert all(isinstance(id, str) and id for id in found)
    assert [json.loads(text) for text in texts] == [{"q": 1}] * len(ids)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("dialect", READERS)
def test_call_without_arguments_has_an_empty_object(format: str, dialect: str) -> None:
    journal = journal_of(format, frames_of(format, ["a", "b"], ""))
    assert READERS[dialect](journal) == [("a", "{}"), ("b", "{}")]
