"""Tests of assigning streamed pieces to tool calls."""

import pytest

from actors.providers.formats.openai_chat.frames import Call, Function
from actors.providers.formats.openai_chat.tool_calls import ToolCalls


def piece(
    index: int | None = None, id: str | None = None, name: str | None = None, text: str = "{"
) -> Call:
    return Call(index, id, Function(name, text))


def whole(index: int | None, id: str | None) -> Call:
    return piece(index, id, "f", '{"a":1}')


@pytest.mark.parametrize(
    ("pieces", "numbers"),
    [
        ([piece(0, "a", "f"), piece(0), piece(1, "b", "g"), piece(0), piece(1)], [0, 0, 1, 0, 1]),
        ([piece(0, "a", "f"), piece(0, "b", "g"), piece(0)], [0, 1, 1]),
        ([piece(0, "a", "f"), piece(0, "b", "g"), piece(0, "a"), piece(0, "b")], [0, 1, 0, 1]),
        ([piece(0, "a", "f"), piece(0, "x"), piece(0, "y")], [0, 0, 0]),
        ([piece(0, None, "f"), piece(0, "a"), piece(0)], [0, 0, 0]),
        ([piece(0, "f", "f"), piece(1, "f", "f"), piece(0, "f"), piece(1)], [0, 1, 0, 1]),
        ([piece(1, "a", "f"), piece(2, "b", "g"), piece(1)], [0, 1, 0]),
        ([piece(None, "a", "f"), piece(None, "b", "g"), piece(None, "a")], [0, 1, 0]),
        ([piece(None, "a", "f"), piece(), piece(None, "b", "g"), piece()], [0, 0, 1, 1]),
        ([piece(3, "a", "f"), piece(), piece()], [0, 0, 0]),
        ([piece(3, "a", "f"), piece(4, "b", "g"), piece(None, "a")], [0, 1, 0]),
        ([piece(None, None, "f"), piece(), piece(None, None, "g"), piece()], [0, 0, 1, 1]),
        ([piece(), piece(None, None, "f"), piece()], [0, 0, 0]),
        ([Call(), Call(0), Call(0, "a")], [0, 1, 1]),
        ([piece(None, "a", "f"), piece(None, "a"), piece(None, "a", "f")], [0, 0, 1]),
        ([whole(0, "a"), whole(0, "a"), whole(0, None), piece(0, "a")], [0, 1, 2, 1]),
        ([piece(0, "a", "f"), piece(0, "a", "f"), piece(0, "a", "f", "}")], [0, 0, 0]),
        ([piece(-1, "a", "f"), piece(2**53, "b", "g"), piece(-1)], [0, 1, 0]),
    ],
    ids=[
        "as it should be",
        "one index for two calls",
        "and pieces in turn",
        "an id anew with each piece",
        "an id that comes late",
        "ids that are names",
        "indices that begin at one",
        "whole calls without an index",
        "pieces with neither index nor id",
        "pieces behind one with an index",
        "an index that comes once",
        "names alone",
        "a name that comes late",
        "next to nothing",
        "one id for two calls",
        "one id and index for whole calls",
        "a name anew with each piece",
        "odd indices",
    ],
)
def test_tool_call_indexes(pieces: list[Call], numbers: list[int]) -> None:
    calls = ToolCalls()
    assert [calls.number(one) for one in pieces] == numbers
