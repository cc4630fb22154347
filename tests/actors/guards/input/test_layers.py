"""Positions in a changed text are traced back to the original."""

from hypothesis import given
from hypothesis import strategies as st

from actors.guards.input.layers import Piece, replace


def test_replacements_are_traced_to_their_whole_piece() -> None:
    layer = replace("ab%20cd", [Piece(2, 5, " ")])
    assert layer.text == "ab cd"
    assert layer.source(0, 2) == (0, 2)
    assert layer.source(1, 3) == (1, 5)
    assert layer.source(3, 5) == (5, 7)


def test_removed_pieces_at_the_ends_of_a_span_are_left_out() -> None:
    layer = replace("-a-b-", [Piece(0, 1, ""), Piece(2, 3, ""), Piece(4, 5, "")])
    assert layer.text == "ab"
    assert layer.source(0, 2) == (1, 4)
    assert layer.source(1, 2) == (3, 4)


@given(st.lists(st.tuples(st.text("ab", max_size=3), st.text("xy", max_size=3)), max_size=8))
def test_every_character_is_traced_to_where_it_was(parts: list[tuple[str, str]]) -> None:
    """Each part is kept text, followed by a piece that is removed or replaced."""
    text, pieces, origins = "", [], []
    for kept, replacement in parts:
        origins += [(at, at + 1) for at in range(len(text), len(text) + len(kept))]
        text += kept
        pieces.append(Piece(len(text), len(text) + 2, replacement))
        origins += [(len(text), len(text) + 2)] * len(replacement)
        text += "??"
    layer = replace(text, pieces)
    assert [layer.source(at, at + 1) for at in range(len(layer.text))] == origins
    if layer.text:
        assert layer.source(0, len(layer.text)) == (origins[0][0], origins[-1][1])
