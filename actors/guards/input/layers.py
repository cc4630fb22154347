"""Texts made from others by replacing pieces, with positions that can be traced back. Pure."""

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

from msgspec import Struct

_BLOCK = 8192
"""Parts that are joined in one call."""


class Piece(NamedTuple):
    """A piece of a text from `begin` to before `end`, and the text that replaces it."""

    begin: int
    end: int
    replacement: str


class Layer(Struct, frozen=True):
    """A text in which pieces of an earlier text were replaced. Pieces are in order.

    The arrays take 32 bytes per piece, an eighth of what tuples take: a text may have a million.
    """

    text: str
    starts: "array[int]"
    """Positions in `text` at which the replacements begin."""
    stops: "array[int]"
    """Positions in `text` at which they end."""
    begins: "array[int]"
    """Positions in the earlier text at which the pieces begin."""
    ends: "array[int]"
    """Positions in the earlier text at which they end."""

    def source(self, begin: int, end: int) -> tuple[int, int]:
        """Return the span in the earlier text that became `begin` to `end`, which is not empty.

        A replacement is traced to its whole piece.
        """
        first, last = self._piece(begin), self._piece(end - 1)
        return self._position(begin, first), self._position(end - 1, last, after=True)

    def _piece(self, position: int) -> int:
        """Return the index of the last replacement that begins at or before `position`, or -1."""
        return bisect_right(self.starts, position) - 1

    def _position(self, position: int, index: int, *, after: bool = False) -> int:
        """Return where the character at `position` was, or with `after` where it ended."""
        if index < 0:
            return position + after
        if position < self.stops[index]:
            return self.ends[index] if after else self.begins[index]
        return self.ends[index] + position - self.stops[index] + after


def join(parts: Iterable[str]) -> str:
    """Join parts in blocks. One call for a million parts would hold the GIL for 30 ms."""
    left = iter(parts)
    blocks: list[str] = []
    while block := list(islice(left, _BLOCK)):
        blocks.append("".join(block))
    return "".join(blocks)


def replace(text: str, pieces: Iterable[Piece]) -> Layer:
    """Return the layer in which `pieces` of `text`, which are in order, are replaced."""
    parts: list[str] = []
    starts, stops, begins, ends = (array("q") for _ in range(4))
    copied = length = 0
    for begin, end, replacement in pieces:
        parts += (text[copied:begin], replacement)
        length += begin - copied
        starts.append(length)
        length += len(replacement)
        stops.append(length)
        begins.append(begin)
        ends.append(end)
        copied = end
    parts.append(text[copied:])
    return Layer(join(parts), starts, stops, begins, ends)
