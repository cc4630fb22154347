"""Normalisation: a text as the rules see it, with positions that can be traced back. Pure.

The text is folded, and what is encoded in it is decoded and folded again, until nothing encoded is
left or `DEPTH` is reached. Everything works on the whole text: searches release the GIL, and all
other calls are short, so that no window has to be cut.
"""

from collections.abc import Iterator

from msgspec import Struct

from actors.guards.input.decoding import LINES, RUNS
from actors.guards.input.folding import INVISIBLE, fold
from actors.guards.input.layers import Layer, replace

DEPTH = 4
"""Times that a text is decoded: of Base64 inside Base64 and so on, this many are found."""


class Normalised(Struct, frozen=True):
    """A text in plain form, and the layers between it and the original."""

    layers: tuple[Layer, ...]

    @property
    def text(self) -> str:
        """The text as the rules see it."""
        return self.layers[-1].text

    def original(self, begin: int, end: int) -> tuple[int, int]:
        """Return the span of the original text that became `begin` to `end`, not empty."""
        for layer in reversed(self.layers):
            begin, end = layer.source(begin, end)
        return begin, end


def readings(text: str) -> Iterator[Normalised]:
    """Yield the forms in which a text can be read: invisible characters as nothing or as spaces."""
    yield normalise(text)
    if not text.isascii() and INVISIBLE.search(text):
        yield normalise(text, " ")


def normalise(text: str, invisible: str = "") -> Normalised:
    """Return the text with look-alikes replaced, and decoded."""
    layers = [fold(text, invisible)]
    for _ in range(DEPTH):
        before = len(layers)
        for decoder in RUNS:
            _add(layers, replace(layers[-1].text, decoder.pieces(layers[-1].text)))
        if len(layers) == before:
            break
    for line_decoder in LINES:
        _add(layers, replace(layers[-1].text, line_decoder.pieces(layers[-1].text)))
    return Normalised(tuple(layers))


def _add(layers: list[Layer], layer: Layer) -> None:
    """Add a layer if anything was replaced in it."""
    if layer.starts:
        layers.append(layer)
