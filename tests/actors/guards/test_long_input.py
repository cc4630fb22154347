"""Long encoded texts are decoded in blocks, with the same result as in one piece."""

import html

import pytest

from actors.guards.input.layers import Piece, replace
from actors.guards.input.normalise import normalise


@pytest.mark.parametrize("run", ["&amp;" * 50_000, "&#65&lt;" * 20_000 + "&gt;", "&#x41;" * 40_000])
def test_entities_are_decoded_in_blocks(run: str) -> None:
    assert normalise(run).text == html.unescape(run)


def test_characters_are_not_cut_at_the_ends_of_blocks() -> None:
    assert normalise("%E4%B8%AD" * 50_000 + "%41").text == "中" * 50_000 + "A"


def test_positions_are_those_of_all_pieces() -> None:
    layer = replace("ab" * 30_000, (Piece(2 * n, 2 * n + 1, "xyz") for n in range(30_000)))
    assert layer.text == "xyzb" * 30_000
    assert layer.source(4 * 25_000, 4 * 25_000 + 3) == (50_000, 50_001)
