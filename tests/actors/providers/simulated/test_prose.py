"""Tests of splitting text into pieces, and of generating texts with an exact number of pieces."""

import re
import subprocess
import sys
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.providers.simulated.prose import (
    count_pieces,
    counting,
    many_scripts,
    pieces,
    prose,
)

seeds = st.integers(0, 2**64)


@given(st.text())
def test_pieces_make_up_the_text(text: str) -> None:
    found = pieces(text)
    assert "".join(found) == text
    assert all(found)
    assert count_pieces(text) == len(found)


def test_long_text_is_counted_without_keeping_its_pieces() -> None:
    """So the GIL is released in between: a list of them is made in a single call."""
    text = "word " * 100_000
    tracemalloc.start()
    assert count_pieces(text) == 100_001
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


def test_a_piece_is_a_word_or_mark_with_the_space_before_it() -> None:
    assert pieces("Well, it's 3 o'clock.\n\nGo ") == [
        "Well", ",", " it", "'", "s", " 3", " o", "'", "clock", ".", "\n\nGo", " ",
    ]  # fmt: skip


@given(seeds, st.integers(0, 300))
def test_prose_has_the_requested_length_and_a_final_sentence(seed: int, length: int) -> None:
    text = prose(seed, length)
    assert len(text) == length
    assert pieces("".join(text)) == text
    if length > 1:
        assert re.fullmatch(r"[A-Z].*(\.| Curtain)", "".join(text), re.DOTALL)


@pytest.mark.parametrize("make", [many_scripts, lambda _, length: counting(length)])
@given(seed=seeds, length=st.integers(1, 200))
def test_counting_and_unicode_texts_have_the_requested_length(make, seed: int, length: int) -> None:  # type: ignore[no-untyped-def]
    text = make(seed, length)
    assert len(text) == length
    assert pieces("".join(text)) == text


def test_prose_depends_on_the_seed() -> None:
    assert prose(1, 50) != prose(2, 50)


def test_prose_is_the_same_in_another_process() -> None:
    program = (
        "from actors.providers.simulated.prose import prose; import sys;"
        "sys.stdout.write(''.join(prose(12345, 40)))"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert output.stdout.decode() == "".join(prose(12345, 40))
