"""Tests of the rough token estimate."""

import pytest
from hypothesis import given

from actors.usage.estimator import estimate_tokens
from tests.support.sample_events import short_text


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("a", 1),
        ("a" * 8, 2),
        ("a" * 400, 100),
        ("漢", 1),
        ("漢字" * 5, 14),
        ("かな", 3),
        ("한국", 3),
        ("aaaa漢字", 4),
        ("é" * 8, 2),
    ],
)
def test_estimate(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


@given(short_text)
def test_only_an_empty_text_has_no_tokens(text: str) -> None:
    assert (estimate_tokens(text) == 0) == (text == "")
