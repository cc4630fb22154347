"""Patterns find the same characters in any script, and take linear time."""

import re
import time

from hypothesis import given
from hypothesis import strategies as st

from actors.guards import patterns


@given(
    st.lists(st.sampled_from(["a", "B", "é", "жЖ", "日", "🎉", "\ud800", "\n"]), max_size=30).map(
        "".join
    )
)
def test_positions_are_those_of_characters(text: str) -> None:
    source = "a+b?|é|жж|🎉."
    expected = [match.span() for match in re.finditer(source, text, re.IGNORECASE)]
    pattern = patterns.compile(source, ignore_case=True)
    assert list(pattern.finditer(text)) == expected
    assert pattern.search(text) == next(iter(expected), None)


def test_group_and_empty_matches() -> None:
    pattern = patterns.compile("key=(é*)|x*")
    assert list(pattern.finditer("key=ééx key=", group=1)) == [(4, 6)]
    assert list(pattern.finditer("日xx本")) == [(1, 3)]


def test_nested_repetition_takes_linear_time() -> None:
    pattern = patterns.compile("(a*)*b")
    started = time.thread_time()
    assert pattern.search("a" * 1_000_000) is None
    assert time.thread_time() - started < 1
