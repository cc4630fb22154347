"""Tests of the streaming comparison: results and linear work."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.continuation.splicing.normalise import fold
from actors.continuation.splicing.repetition import (
    WINDOW,
    Repetition,
    common_prefix_length,
    overlap,
)
from tests.actors.continuation.splicing.seam_texts import in_pieces, sizes, texts

few = st.text("ab ", max_size=30)


@given(few, few)
def test_overlap_is_the_longest_common_border(one: str, other: str) -> None:
    lengths = range(min(len(one), len(other)), -1, -1)
    assert overlap(one, other) == next(k for k in lengths if one.endswith(other[:k]))


@given(few, few)
def test_common_prefix_length_counts_equal_leading_characters(one: str, other: str) -> None:
    size = common_prefix_length(one, other)
    assert one[:size] == other[:size]
    assert size == min(len(one), len(other)) or one[size] != other[size]


@given(few | texts, few | texts, sizes)
def test_comparing_in_pieces_equals_comparing_the_whole(
    shown: str, second: str, lengths: list[int]
) -> None:
    repetition = Repetition(shown)
    for piece in in_pieces(second, lengths):
        if not repetition.open:
            break
        repetition.feed(piece)
    repetition.stop()
    one, other = fold(shown), fold(second)
    assert repetition.start.matched == common_prefix_length(one, other)
    assert repetition.start.covered == (one != "" and other.startswith(one))
    if not repetition.start.covered:
        assert repetition.end.longest_overlap() == overlap(one, other)
        quote = repetition.end.longest_quote()
        assert other[:quote] in one
        assert quote == len(other) or other[: quote + 1] not in one


def test_comparison_closes_once_no_repetition_is_possible() -> None:
    repetition = Repetition("one two three two")
    repetition.feed("two")
    assert repetition.open
    repetition.feed(" th")
    assert repetition.open
    repetition.feed("rough")
    assert not repetition.open


SHOWN: dict[str, Callable[[int], tuple[str, str]]] = {
    "the same": lambda n: ("tide and time " * n, "tide and time " * n),
    "the same, then not": lambda n: ("tide and time " * n, "tide and time " * n + "x"),
    "one letter": lambda n: ("a" * 14 * n + "b", "a" * 28 * n),
    "two letters": lambda n: ("ab" * 7 * n + "c", "ab" * 14 * n),
    "longer and longer": lambda n: (
        " ".join("a" * k for k in range(1, 5 * int(n**0.5))),
        "a" * 14 * n,
    ),
    "nearly": lambda n: (("a" * 99 + "b") * (n // 7), ("a" * 100 + "b") * (n // 7)),
}


@pytest.mark.parametrize("texts_of", SHOWN.values(), ids=SHOWN)
@pytest.mark.parametrize("size", [1, 7])
def test_comparison_work_is_linear(texts_of: Callable[[int], tuple[str, str]], size: int) -> None:
    for n in (100, 1000):
        shown, second = texts_of(n)
        repetition = Repetition(shown)
        for piece in in_pieces(second, [size]):
            repetition.feed(piece)
        assert repetition.compared <= 4 * (len(shown) + len(second))


def test_kept_tail_is_bounded() -> None:
    repetition = Repetition("a word " * WINDOW)
    repetition.feed("a word " * WINDOW)
    assert len(repetition.end.tail) <= WINDOW
    assert len(repetition.end.received) <= WINDOW
