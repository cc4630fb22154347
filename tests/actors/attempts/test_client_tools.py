"""Calls of functions that stand in for the client's tools come back as calls of those tools."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.attempts.client_tools import ClientTools
from actors.turn.chunks import Chunk, FinishChunk, NativeItemChunk, TextChunk, ToolCallChunk
from actors.turn.model_call import ClientTool
from actors.turn.outcome import Reason
from tests.support.sample_events import cut_at

TOOLS = {
    "patch": ClientTool("patch", "custom"),
    "ns__exec": ClientTool("exec", "custom", '{"namespace":"ns"}'),
    "ns__find": ClientTool("find", extras='{"namespace":"ns"}'),
    "search": ClientTool("search", extras='{"type":"search_call"}', item_api="openai-responses"),
}
FINISH = FinishChunk(Reason.TOOL_CALLS)


def restored(*chunks: Chunk) -> list[Chunk]:
    """Return the chunks of an answer that came one by one."""
    tools = ClientTools(TOOLS)
    return [one for chunk in (*chunks, FINISH) for one in tools.step([chunk])][:-1]


def patched(*pieces: str) -> str:
    """Return the input of a custom call whose arguments came in these pieces."""
    first = ToolCallChunk(0, "c", "patch", "")
    chunks = restored(first, *(ToolCallChunk(0, None, None, piece) for piece in pieces))
    assert chunks[0] == ToolCallChunk(0, "c", "patch", "", "custom")
    return "".join(
        chunk.arguments
        for chunk in chunks
        if isinstance(chunk, ToolCallChunk) and chunk.kind == "custom"
    )


def test_a_function_of_a_namespace_comes_back_with_it() -> None:
    assert restored(
        ToolCallChunk(0, "c", "ns__find", '{"q":'),
        TextChunk("x"),
        ToolCallChunk(0, None, None, "1}"),
    ) == [
        ToolCallChunk(0, "c", "find", '{"q":', "function", '{"namespace":"ns"}'),
        TextChunk("x"),
        ToolCallChunk(0, None, None, "1}"),
    ]


def test_the_text_of_a_custom_call_streams() -> None:
    pieces = ['{"inp', 'ut": "*** Be', "gin\\n", "\\u20", 'ac"', "}"]
    first = ToolCallChunk(0, "c", "ns__exec", "")
    assert restored(first, *(ToolCallChunk(0, None, None, piece) for piece in pieces)) == [
        ToolCallChunk(0, "c", "exec", "", "custom", '{"namespace":"ns"}'),
        ToolCallChunk(0, None, None, "*** Be", "custom"),
        ToolCallChunk(0, None, None, "gin\n", "custom"),
        ToolCallChunk(0, None, None, "€", "custom"),
    ]


def test_calls_of_providers_that_know_the_tools_are_unchanged() -> None:
    chunks: list[Chunk] = [
        ToolCallChunk(0, "a", "patch", "text", "custom"),
        ToolCallChunk(1, "b", "exec", "text", "custom", '{"namespace":"ns"}'),
        ToolCallChunk(2, "c", "patch", "{}", "function", '{"namespace":"other"}'),
        ToolCallChunk(3, "d", "lookup", '{"input":"x"}'),
        NativeItemChunk("openai-responses", "{}"),
    ]
    assert restored(*chunks) == chunks


@pytest.mark.parametrize(
    ("arguments", "read"), [('{"q": 1}', {"q": 1}), ("", {}), ("[", "["), ("[1]", "[1]")]
)
def test_calls_of_a_search_are_items(arguments: str, read: object) -> None:
    half = len(arguments) // 2
    (item,) = restored(
        ToolCallChunk(0, "c", "search", arguments[:half]),
        ToolCallChunk(0, None, None, arguments[half:]),
    )
    assert isinstance(item, NativeItemChunk)
    expected = {"type": "search_call", "call_id": "c", "arguments": read}
    assert (item.api, json.loads(item.item)) == ("openai-responses", expected)


def test_searches_without_an_id_get_one_that_no_other_turn_has() -> None:
    ids = set()
    for turn in ("turn_a", "turn_b"):
        tools = ClientTools(TOOLS, turn)
        pieces = [ToolCallChunk(index, None, "search", "{}") for index in range(2)]
        items = tools.step([*pieces, FINISH])[:-1]
        ids |= {
            json.loads(one.item)["call_id"] for one in items if isinstance(one, NativeItemChunk)
        }
    assert ids == {f"call_{turn}_item_{index}" for turn in "ab" for index in range(2)}


def test_extra_fields_of_the_call_stay() -> None:
    (call,) = restored(ToolCallChunk(0, "c", "ns__find", "{}", extras='{"signature":"s"}'))
    assert isinstance(call, ToolCallChunk)
    assert json.loads(call.extras or "") == {"namespace": "ns", "signature": "s"}


def test_pieces_before_the_name_are_held_back() -> None:
    assert restored(
        ToolCallChunk(0, "c", None, '{"input":'), ToolCallChunk(0, None, "patch", '"x"}')
    ) == [ToolCallChunk(0, "c", "patch", "x", "custom")]
    assert restored(ToolCallChunk(0, "c", None, "x")) == [ToolCallChunk(0, "c", None, "x")]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"input":"a"}', "a"),
        (' \n{ "input" : "a" , "why": "b" }', "a"),
        ('{"why":1,"input":"a"}', "a"),
        ('{"patch":"a"}', "a"),
        ('{"patch":"a","why":"b"}', '{"patch":"a","why":"b"}'),
        ('{"input":{"a":1}}', '{"input":{"a":1}}'),
        ("*** Begin Patch", "*** Begin Patch"),
        ('{"input":"line\nbreak \\d \\u12 \\q"}', "line\nbreak \\d \\u12 \\q"),
        ('{"input":"\\ud83d\\ude00 \\ud83d."}', "😀 \ufffd."),
        ("{}", ""),
        ("", ""),
        ("[" * 9999, "[" * 9999),
        ('{"input":"cut off', "cut off"),
    ],
)
def test_arguments_in_any_form_at_any_cut(arguments: str, text: str) -> None:
    for cut in range(min(len(arguments), 80) + 1):
        assert patched(arguments[:cut], arguments[cut:]) == text, cut


@given(st.text(), st.lists(st.integers(0, 200), max_size=6), st.booleans())
def test_any_text_survives_any_cut(text: str, cuts: list[int], ascii: bool) -> None:
    arguments = json.dumps({"input": text}, ensure_ascii=ascii)
    marks = sorted({cut % (len(arguments) + 1) for cut in cuts} | {0, len(arguments)})
    assert patched(*(arguments[a:b] for a, b in pairwise(marks))) == text


@given(st.permutations([0, 0, 1, 1, 2, 2]), st.lists(st.integers(0, 9), max_size=4))
def test_parallel_calls_do_not_mix(order: list[int], cuts: list[int]) -> None:
    pieces = {
        0: iter(["", '{"input":"one"}']),
        1: iter(['{"input":', '"two"}']),
        2: iter(["{", "}"]),
    }
    names: dict[int, str | None] = {0: "patch", 1: "ns__exec", 2: "ns__find"}
    chunks: list[Chunk] = [
        ToolCallChunk(index, None, names.pop(index, None), next(pieces[index])) for index in order
    ]
    tools = ClientTools(TOOLS)
    found: dict[int, str] = {}
    for batch in cut_at([*chunks, FINISH], cuts):
        for chunk in tools.step(batch):
            if isinstance(chunk, ToolCallChunk):
                found[chunk.index] = found.get(chunk.index, "") + chunk.arguments
    assert found == {0: "one", 1: "two", 2: "{}"}


def test_long_arguments_of_another_form_take_linear_time() -> None:
    assert len(patched("{", *["x" * 10] * 100_000)) == 1_000_001
