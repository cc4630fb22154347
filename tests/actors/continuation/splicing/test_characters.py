"""Tests of character and word properties in many scripts."""

import pytest

from actors.continuation.splicing.characters import (
    first_word,
    is_unspaced,
    last_word,
    splits_word,
    weight,
    words_in,
)


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("tide", 4),
        ("t-i, d.", 3),
        ("海", 2),
        ("ひと", 4),
        ("서울", 2),
        ("🚀!", 2),
        ("...", 0),
        ("e\u0301", 1),
    ],
)
def test_weight(text: str, letters: int) -> None:
    assert weight(text) == letters


def test_words_of_a_text() -> None:
    assert words_in("the tide, 3 海の x_1") == ["the", "tide", "3", "海", "の", "x_1"]
    assert first_word("cafe\u0301s are") == "cafe\u0301s"
    assert last_word("two cafe\u0301s") == "cafe\u0301s"
    assert last_word("two. ") == ""


@pytest.mark.parametrize(
    ("before", "after", "inside"),
    [
        ("ti", "de", True),
        ("ti ", "de", False),
        ("x_", "1", True),
        ("海", "の", False),
        ("e", "\u0301", True),
        ("a", ".", False),
        ("", "a", False),
        ("PC", "を", False),
    ],
)
def test_splits_word(before: str, after: str, inside: bool) -> None:
    assert splits_word(before, after) is inside


def test_scripts_without_spaces() -> None:
    assert all(map(is_unspaced, "海のไខ"))
    assert not any(map(is_unspaced, "aж서ع"))
