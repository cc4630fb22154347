"""Tests of text folding: independence of Unicode form, white space and piece sizes."""

from unicodedata import normalize

from hypothesis import given
from hypothesis import strategies as st

from actors.continuation.splicing.normalise import (
    Folder,
    fold,
    length_of_units,
    split_trailing_marks,
)
from tests.actors.continuation.splicing.seam_texts import in_pieces, sizes, texts


@given(texts, sizes)
def test_folding_in_pieces_equals_folding_the_whole(text: str, lengths: list[int]) -> None:
    folder = Folder()
    folded = "".join(folder.feed(piece) for piece in in_pieces(text, lengths)) + folder.end()
    assert folded == fold(text)


@given(texts)
def test_fold_ignores_unicode_form_and_kind_of_white_space(text: str) -> None:
    assert fold(normalize("NFC", text)) == fold(normalize("NFD", text)) == fold(f"\n {text}\t")
    assert fold("\r\n \t".join(text.split())) == fold(" ".join(text.split()))


@given(texts, st.integers(1, 300))
def test_length_of_units_counts_characters(text: str, times: int) -> None:
    long = (text + "x \n") * (1 + times % 9)
    folded = fold(long)
    units = 1 + times % len(folded)
    size, left = length_of_units(long, units)
    counted = len(fold(long[:size]))
    assert not long[size - 1].isspace()
    assert counted - len(left) == units


def test_rest_of_a_character_is_decomposed() -> None:
    assert length_of_units("un café", 7) == (7, "\u0301")
    assert length_of_units("un café", 8) == (7, "")
    assert length_of_units("un", 9) == (2, "")


@given(texts)
def test_trailing_marks_are_split_off(text: str) -> None:
    base, marks = split_trailing_marks(text)
    assert normalize("NFD", base + marks) == normalize("NFD", text)


def test_marks_on_white_space_are_not_split_off() -> None:
    assert split_trailing_marks("a \u0301") == ("a \u0301", "")
    assert split_trailing_marks("cafe\u0301\u0323") == ("cafe", "\u0323\u0301")
    assert split_trailing_marks("caf\u00e9") == ("cafe", "\u0301")
