"""Tests of white space and combining marks at a seam."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.continuation.splicing.whitespace import (
    DoesNotFit,
    SeamFilter,
    drop_shared_space,
    missing_space,
)

white = st.text(" \n\t\r\u00a0", max_size=8)


@given(white, white)
def test_new_white_space_after_shown_white_space_is_kept(shown: str, more: str) -> None:
    assert drop_shared_space(shown, shown + more) == more


@pytest.mark.parametrize(
    ("shown", "run", "expected"),
    [
        (" ", " ", ""),
        ("\n\n", "\n", ""),
        (" \n", "\n", ""),
        (" ", "\n\n", "\n\n"),
        ("\n", " ", ""),
        ("\n", "    ", "    "),
        ("\n  ", "\n    ", "  "),
        ("\r", "\r\n", "\n"),
    ],
)
def test_white_space_is_not_doubled(shown: str, run: str, expected: str) -> None:
    assert drop_shared_space(shown, run) == expected


@pytest.mark.parametrize(
    ("shown", "second", "expected"),
    [
        ("", "word", ""),
        ("one ", "two", ""),
        ("one", " two", ""),
        ("one", "two", " "),
        ("one", ", two", ""),
        ("one.", "Two", " "),
        ("one.", "two", " "),
        ("one:", "two", " "),
        ("one (two)", "three", " "),
        ('"one"', "said he", " "),
        ('he said "', "one", ""),
        ("(", "one", ""),
        ("see www.", "example", ""),
        ("pi is 3.", "14", ""),
        ("1,", "000", ""),
        ("d'", "avoir", ""),
        ("it is an understudy, and the under", "study", ""),
        ("one two 3", "4 5", " "),
        ("3 4", "5", " "),
        ("version", "3 of it", " "),
        ("caf", "\u0301e", ""),
        ("一二", "三", ""),
        ("用 Python", "写", ""),
        ("ไทย", "และ", ""),
        ("- one", "- two", "\n"),
        ("- one\n-", "two", " "),
        ("# ", "Title", ""),
        ("##", "# Title", ""),
        ("> **", "Note", ""),
        ("So:", "```py", "\n"),
        ("```\nx\n```", "So", "\n"),
        ("```\nf(", "x", ""),
        ("```\nf(x", ")", ""),
        ("a b -", "c", ""),
    ],
)
def test_missing_white_space_is_inserted(shown: str, second: str, expected: str) -> None:
    assert missing_space(shown, second) == expected


@pytest.mark.parametrize(
    ("shown", "second"), [("in 19", "45"), ("```\nimport csv", "import re"), ("`foo", "bar`")]
)
def test_ambiguous_seam_raises_unclear(shown: str, second: str) -> None:
    with pytest.raises(DoesNotFit):
        missing_space(shown, second)


def feed(seam_filter: SeamFilter, text: str) -> str:
    return "".join(map(seam_filter.feed, text)) + seam_filter.end()


@pytest.mark.parametrize(
    ("seam_filter", "text", "expected"),
    [
        (SeamFilter("", ""), " \u0301x", " \u0301x"),
        (SeamFilter("\u0301", ""), "\u0301x", "x"),
        (SeamFilter("\u0301", ""), "\u0323\u0301\u0301x", "\u0323\u0301x"),
        (SeamFilter("\u0301", ""), "x\u0301", "x\u0301"),
        (SeamFilter("\u0308\u0301", ""), "\u0344x", "x"),
        (SeamFilter("", " "), "\u0301 x", "\u0301 x"),
        (SeamFilter("", " ", closed=True), "\u0301 x", "x"),
        (SeamFilter("", "\n"), "\n\n", "\n"),
        (SeamFilter("", "\n"), "", ""),
    ],
)
def test_seam_filter_drops_shown_marks_and_space(
    seam_filter: SeamFilter, text: str, expected: str
) -> None:
    assert feed(seam_filter, text) == expected
    assert seam_filter.done
