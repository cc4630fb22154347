"""Tests of text boundaries: sentences, lines, blocks and code."""

import pytest

from actors.continuation.splicing.boundaries import (
    begins_sentence,
    block_marker,
    in_code,
    is_marker,
    stops_midway,
)


@pytest.mark.parametrize(
    "text",
    ["a word", "a word,", "(a word)", "**bold", "a \u2013", "call f(", "in 1984", "海", "海、"],
)
def test_text_that_stops_midway(text: str) -> None:
    assert stops_midway(text)
    assert stops_midway(text + " ")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "End.",
        "End. ",
        '"End!"',
        "**End.**",
        "Why:",
        "a line\n",
        "- ",
        "1.",
        "終わり。",
        "```\nx\n```",
        'he said "',
        "It is 🏕️",
        "| a |",
    ],
)
def test_text_that_does_not_stop_midway(text: str) -> None:
    assert not stops_midway(text)


def test_begins_sentence() -> None:
    for before in ("", "End. ", '"End!" ', "a line\n", "- a\n- ", "**", "終わり。"):
        assert begins_sentence(before), before
    for before in ("a word ", "a word, ", "(", "海"):
        assert not begins_sentence(before), before


@pytest.mark.parametrize(
    ("line", "block"),
    [
        ("- a", "-"),
        ("  * a", "*"),
        ("12. a", "."),
        ("1) a", ")"),
        ("## a", "##"),
        ("> a", ">"),
        ("| a", "|"),
        ("```py", "```"),
        ("**a", ""),
        ("-1", ""),
        ("1.5", ""),
        ("a", ""),
        ("", ""),
    ],
)
def test_block_marker(line: str, block: str) -> None:
    assert block_marker(line) == block


def test_is_marker() -> None:
    assert all(map(is_marker, ("-", "- ", "> **", "##", "3.")))
    assert not any(map(is_marker, ("- a", "", "a", "```")))


def test_in_code() -> None:
    assert in_code("So:\n```py\nx")
    assert in_code("so use `x")
    assert not in_code("So:\n```py\nx\n```\nand")
    assert not in_code("so use `x` and")
