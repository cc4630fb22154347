"""Text is cut between words, and where it has no gap for long, at a place of the text alone."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.guards.leaks.flow import Flow, word_begin
from actors.guards.spec import Span

ALPHABET = st.text(alphabet="ab =,é好\n", max_size=60)


def joins_equals(text: str, gap_end: int) -> int:
    """Join gaps around `=`."""
    joins = "=" in text[max(0, gap_end - 2) : gap_end + 1]
    return word_begin(text, gap_end) if joins else gap_end


def assigned(text: str) -> Iterator[Span]:
    """Yield each `=` behind `a ` with the character behind it."""
    for begin, char in enumerate(text):
        if char == "=" and text[max(0, begin - 2) : begin] == "a ":
            yield Span(begin, begin + 2)


@pytest.mark.parametrize(
    ("text", "settled"),
    [
        ("", 0),
        ("word", 0),
        ("a word", 2),
        ("a word ", 2),
        ("a word \n x", 9),
        ("你好", 2),
        ("für", 2),
        ("x = 1", 0),
        ("y x ", 2),
        ("w " + "x" * 30, 22),
        ("x" * 7 + "," + "y" * 30, 28),
    ],
)
def test_text_settles_behind_its_last_gap(text: str, settled: int) -> None:
    assert Flow(longest=10, joined=joins_equals).settle(text) == settled


@given(ALPHABET, st.sets(st.integers(1, 60)), st.integers(4, 20))
def test_result_does_not_depend_on_cuts(text: str, cuts: set[int], longest: int) -> None:
    flow = Flow(longest=longest, joined=joins_equals)
    check = flow.check(assigned)
    found, begin = [], 0
    for cut in sorted(cut for cut in cuts if cut < len(text)):
        size = flow.settle(text[begin:cut])
        found += [(begin + s.begin, begin + s.end) for s in check.find(text[begin : begin + size])]
        begin += size
    found += [(begin + span.begin, begin + span.end) for span in check.find(text[begin:])]
    assert found == [(span.begin, span.end) for span in check.find(text)]


@given(ALPHABET, st.integers(2, 20))
def test_pieces_are_the_text_and_no_longer_than_allowed(text: str, longest: int) -> None:
    pieces = list(Flow(longest=longest, joined=joins_equals).pieces(text))
    assert "".join(piece for _, piece in pieces) == text
    assert all(len(piece) <= longest for _, piece in pieces)
    assert all(text.startswith(piece, begin) for begin, piece in pieces)
