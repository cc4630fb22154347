"""How much one text repeats of another: right, and in linear time."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.splicing.folding import fold
from actors.splicing.repetition import WINDOW, Repetition, alike, overlap
from tests.actors.splicing.seam_texts import in_pieces, sizes, texts

few = st.text("ab ", max_size=30)


@given(few, few)
def test_overlap_is_the_longest(one: str, other: str) -> None:
    lengths = range(min(len(one), len(other)), -1, -1)
    assert overlap(one, other) == next(k for k in lengths if one.endswith(other[:k]))


@given(few, few)
def test_alike_is_the_common_beginning(one: str, other: str) -> None:
    size = alike(one, other)
    assert one[:size] == other[:size]
    assert size == min(len(one), len(other)) or one[size] != other[size]


@given(few | texts, few | texts, sizes)
def test_pieces_are_compared_like_the_whole(shown: str, second: str, lengths: list[int]) -> None:
    repetition = Repetition(shown)
    for piece in in_pieces(second, lengths):
        if not repetition.open:
            break
        repetition.feed(piece)
    repetition.stop()
    one, other = fold(shown), fold(second)
    assert repetition.start.alike == alike(one, other)
    assert repetition.start.covered == (one != "" and other.startswith(one))
    if not repetition.start.covered:
        assert repetition.end.longest_overlap() == overlap(one, other)
        quote = repetition.end.longest_quote()
        assert other[:quote] in one
        assert quote == len(other) or other[: quote + 1] not in one


def test_it_is_over_as_soon_as_nothing_can_be_repeated() -> None:
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
def test_the_work_is_linear(texts_of: Callable[[int], tuple[str, str]], size: int) -> None:
    for n in (100, 1000):
        shown, second = texts_of(n)
        repetition = Repetition(shown)
        for piece in in_pieces(second, [size]):
            repetition.feed(piece)
        assert repetition.compared <= 4 * (len(shown) + len(second))


def test_only_so_much_of_the_end_is_kept() -> None:
    repetition = Repetition("a word " * WINDOW)
    repetition.feed("a word " * WINDOW)
    assert len(repetition.end.tail) <= WINDOW
    assert len(repetition.end.said) <= WINDOW
