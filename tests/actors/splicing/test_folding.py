"""Text is the same in whatever form of Unicode and white space, and in whatever pieces it comes."""

from unicodedata import normalize

from hypothesis import given
from hypothesis import strategies as st

from actors.splicing.folding import Folder, fold, length_of_units, without_last_marks
from tests.actors.splicing.seam_texts import in_pieces, sizes, texts


@given(texts, sizes)
def test_pieces_are_folded_like_the_whole(text: str, lengths: list[int]) -> None:
    folder = Folder()
    folded = "".join(folder.feed(piece) for piece in in_pieces(text, lengths)) + folder.end()
    assert folded == fold(text)


@given(texts)
def test_forms_of_unicode_and_white_space_do_not_matter(text: str) -> None:
    assert fold(normalize("NFC", text)) == fold(normalize("NFD", text)) == fold(f"\n {text}\t")
    assert fold("\r\n \t".join(text.split())) == fold(" ".join(text.split()))


@given(texts, st.integers(1, 300))
def test_units_are_counted_in_characters(text: str, times: int) -> None:
    long = (text + "x \n") * (1 + times % 9)
    folded = fold(long)
    units = 1 + times % len(folded)
    size, left = length_of_units(long, units)
    said = len(fold(long[:size]))
    assert not long[size - 1].isspace()
    assert said - len(left) == units


def test_the_rest_of_a_character_is_given_decomposed() -> None:
    assert length_of_units("un café", 7) == (7, "\u0301")
    assert length_of_units("un café", 8) == (7, "")
    assert length_of_units("un", 9) == (2, "")


@given(texts)
def test_marks_are_taken_off_the_last_character(text: str) -> None:
    base, marks = without_last_marks(text)
    assert normalize("NFD", base + marks) == normalize("NFD", text)


def test_marks_on_white_space_stay() -> None:
    assert without_last_marks("a \u0301") == ("a \u0301", "")
    assert without_last_marks("cafe\u0301\u0323") == ("cafe", "\u0323\u0301")
    assert without_last_marks("caf\u00e9") == ("cafe", "\u0301")
