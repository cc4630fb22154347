"""Tests of names of tools that providers refuse: shortened in requests, restored in answers."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.providers.formats.answer_calls import client_calls
from actors.providers.formats.base import FormatSpec, RequestParts
from actors.providers.formats.tool_names import OPENAI_NAMES, NameRule
from actors.turn.chat_messages import read_messages
from actors.turn.chunks import Chunk, ToolCallChunk
from actors.turn.model_call import ModelCall
from web import registry

FORMATS = {spec.name: spec.format for spec in registry.load(registry.FORMATS, FormatSpec)}
LIMITED = [name for name, format in FORMATS.items() if format.tool_names is not None]
LONG = "mcp__plugin_video-strategist_video-analytics__get_video_enhanced_transcript"
NAMES = [
    LONG,
    f"{LONG}_again",
    "x" * 200,
    "x" * 201,
    "math.add",
    "math/add",
    "größe",
    "7th",
    "plain",
]


def call_with(names: list[str], **parameters: object) -> ModelCall:
    tools = [
        {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
        for name in names
    ]
    history: list[dict[str, Any]] = [{"role": "user", "content": "go"}]
    for index, name in enumerate(names):
        function = {"name": name, "arguments": "{}"}
        calls = [{"id": f"c{index}", "type": "function", "function": function}]
        history.append({"role": "assistant", "content": None, "tool_calls": calls})
        answer = {"role": "tool", "tool_call_id": f"c{index}", "name": name, "content": "r"}
        history.append(answer)
    return ModelCall(
        upstream_model="m",
        messages=read_messages(history),
        parameters={"tools": tools, **parameters},
    )


def names_in(value: object) -> list[str]:
    """Return all values of fields called `name` or `tool_name`, in order."""
    if isinstance(value, list):
        return [name for one in value for name in names_in(one)]
    if not isinstance(value, dict):
        return []
    own = [value[key] for key in ("name", "tool_name") if isinstance(value.get(key), str)]
    allowed = value.get("allowedFunctionNames", [])
    return [*own, *allowed, *(name for inner in value.values() for name in names_in(inner))]


def sent(format: str, call: ModelCall) -> tuple[RequestParts, list[str]]:
    parts = FORMATS[format].build(call, None)
    return parts, names_in(msgspec.json.decode(parts.body))


@pytest.mark.parametrize("format", LIMITED)
def test_names_are_accepted_distinct_and_the_same_everywhere(format: str) -> None:
    rule = FORMATS[format].tool_names
    assert rule is not None
    parts, names = sent(format, call_with(NAMES))
    assert all(map(rule.accepts, names))
    assert len(set(names)) == len(NAMES)
    assert parts.ignored == ()
    originals = {parts.names.get(name, name) for name in names}
    assert originals == set(NAMES)
    assert sent(format, call_with(NAMES[::-1]))[0].names == parts.names, "the same each time"


@pytest.mark.parametrize("format", FORMATS)
def test_names_that_are_accepted_stay(format: str) -> None:
    parts, names = sent(format, call_with(["plain", "a-b_9"]))
    assert set(names) == {"plain", "a-b_9"}
    assert parts.names == {}


def choice(name: str) -> dict[str, object]:
    return {"type": "function", "function": {"name": name}}


@pytest.mark.parametrize("format", LIMITED)
@pytest.mark.parametrize(
    "chosen",
    [
        choice("math.add"),
        {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "auto", "tools": [choice("math.add"), choice(LONG * 2)]},
        },
    ],
)
def test_choices_have_the_names_that_were_sent(format: str, chosen: dict[str, object]) -> None:
    asked = call_with(["math.add", LONG * 2], tool_choice=chosen)
    parts, names = sent(format, asked)
    declared = sent(format, replace(asked, parameters={"tools": asked.parameters["tools"]}))[1]
    assert set(names) == set(declared)
    if "tool_choice" not in parts.ignored:
        assert len(names) > len(declared)


class ScriptedDecoder:
    """A decoder with the given chunks."""

    finished = over = saw_end_marker = False

    def __init__(self, *chunks: Chunk) -> None:
        self._chunks = list(chunks)

    def feed(self, data: bytes) -> list[Chunk]:
        return [self._chunks.pop(0)]

    def end(self) -> list[Chunk]:
        return self._chunks


@pytest.mark.parametrize("pieces", [0, 1, 3])
def test_answers_have_the_client_names(pieces: int) -> None:
    """Restored both in chunks of a stream and in those of a document."""
    parts, _ = sent("openai-chat", call_with([LONG]))
    (short,) = parts.names
    chunks = (
        ToolCallChunk(0, "c1", short, ""),
        ToolCallChunk(0, None, None, "{}"),
        ToolCallChunk(1, "c2", "plain", "{}"),
    )
    decoder = client_calls(ScriptedDecoder(*chunks), parts.names, frozenset())
    found = [chunk for _ in range(pieces) for chunk in decoder.feed(b"x")] + decoder.end()
    assert [chunk.name for chunk in found if isinstance(chunk, ToolCallChunk)] == [
        LONG,
        None,
        "plain",
    ]


def test_answers_have_no_ids_of_the_history() -> None:
    chunks = (
        ToolCallChunk(0, "c0", "f", ""),
        ToolCallChunk(0, "c0", None, "{}"),
        ToolCallChunk(1, "c0", "f", "{}"),
        ToolCallChunk(2, "new", "f", "{}"),
    )
    decoder = client_calls(ScriptedDecoder(*chunks), {}, frozenset({"c0"}))
    ids = [chunk.id for chunk in decoder.end() if isinstance(chunk, ToolCallChunk)]
    assert ids == [None, None, None, "new"]


def test_decoder_is_not_wrapped_without_need() -> None:
    decoder = ScriptedDecoder()
    assert client_calls(decoder, {}, frozenset()) is decoder


@given(st.lists(st.text(min_size=1, max_size=100), unique=True, max_size=6))
def test_any_names_are_shortened_to_distinct_ones(names: list[str]) -> None:
    parts, found = sent("openai-chat", call_with(names))
    assert all(map(OPENAI_NAMES.accepts, found))
    assert {parts.names.get(name, name) for name in found} == set(names)


def test_shortened_name_avoids_names_that_are_taken() -> None:
    rule = NameRule(20, OPENAI_NAMES.forbidden)
    first = rule.shortened(LONG, set())
    second = rule.shortened(LONG, {first})
    assert first != second
    assert rule.accepts(second)
    assert json.dumps(first).isascii()
