"""Prose leaves out code blocks and masks quotations, also those that began in an earlier piece."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.guards import units
from actors.guards.prose import MASKED, START, Sentence, sentence_check, sentences, spans_of
from actors.guards.spec import Span


@pytest.mark.parametrize(
    "block",
    [
        "```\nHi. You.\n```",
        "```python\nprint('Hi. You')\n\n# No. Yes\n```",
        "~~~\n```\nHi\n~~~",
        "````\n```\nHi\n```\n````",
        "- ```\n  Hi. You\n  ```",
        "> Hi. You said\n> that",
        "| Hi. You | there |\n|---|---|",
    ],
)
def test_code_blocks_quoted_lines_and_tables_are_left_out(block: str) -> None:
    found, _ = sentences(f"Before.\n{block}\nBehind.")
    assert [one.text.strip() for one in found] == ["Before.", "Behind."]


def test_code_without_an_end_reaches_to_the_end() -> None:
    found, _ = sentences("Before.\n```\nHi. You.\n\nThere.")
    assert [one.text for one in found] == ["Before.\n"]


def test_marks_within_a_line_begin_no_code_block() -> None:
    found, _ = sentences("```x``` is code. So is ```y```.\nBehind.")
    assert [one.text.replace(MASKED, "") for one in found] == [" is code. ", "So is .\n", "Behind."]


@pytest.mark.parametrize(
    "quotation",
    ['"I am. You are."', "“I am. You are.”", "„Ich. Du.“", "« Je. Tu. »", "`a. b`", "``a ` b``"],
)
def test_quotations_and_inline_code_are_masked(quotation: str) -> None:
    found, _ = sentences(f"She said {quotation} to me. Really.")
    text = "".join(one.text for one in found)
    assert text == f"She said {MASKED * len(quotation)} to me. Really."


def test_marks_of_inches_open_no_quotation() -> None:
    found, _ = sentences('A 5" screen. Fine.')
    assert "".join(one.text for one in found) == 'A 5" screen. Fine.'


def test_quotation_without_an_end_reaches_to_the_end_of_its_paragraph() -> None:
    found, _ = sentences('He said "I am. You\nare.\n\nBehind.')
    assert found[-1] == Sentence(25, "Behind.", True)
    assert {one.text.strip(MASKED) for one in found[1:-1]} == {""}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("One. Bad. Two.", [Span(5, 10)]),
        ("Bad.\n\nTwo.", [Span(0, 6)]),
        ("One. Bad.\n\nTwo.", [Span(5, 9)]),
        ("One.\nBad. Two.", [Span(5, 10)]),
        ("One. Bad.", [Span(5, 9)]),
    ],
)
def test_removing_a_sentence_keeps_the_end_of_a_line_with_other_text(
    text: str, left: list[Span]
) -> None:
    check = sentence_check(lambda one: [Span(0, 4)] if one.startswith("Bad.") else [])
    assert spans_of(check, text) == left


@given(text=st.text(alphabet='ab.`~"“” \n>|-', max_size=80), cuts=st.sets(st.integers(0, 80)))
def test_cuts_do_not_change_prose(text: str, cuts: set[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(units, "LONGEST", 9)
        found: list[Sentence] = []
        begin, place = 0, START
        for end in [*sorted(cut for cut in cuts if cut < len(text)), len(text)]:
            size = units.SENTENCE.settled(text[begin:end]) if end < len(text) else end - begin
            new, place = sentences(text[begin : begin + size], place)
            found += [Sentence(begin + one.begin, one.text, one.begins_line) for one in new]
            begin += size
        assert (found, place) == sentences(text)
        assert all(len(one.text) == len(text[one.begin :][: len(one.text)]) for one in found)
