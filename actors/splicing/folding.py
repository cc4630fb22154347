"""Text as it is compared at a seam: runs of white space are one space, Unicode is decomposed.

Two models that say the same may differ in both. A *unit* is one character of folded text.
"""

from typing import Final
from unicodedata import combining, normalize

_BLOCK: Final = 256
"""Characters that are folded at once where a long text is gone through."""
_MOST_MARKS: Final = 32
"""Marks on one character that are put in order; Unicode's stream-safe format allows 30."""


def fold(text: str) -> str:
    """The whole text, folded; white space around it is left out."""
    return " ".join(normalize("NFD", text).split())


class Folder:
    """Folds a text that comes in pieces; what `feed` and `end` return, joined, is `fold` of it."""

    __slots__ = ("_begun", "_gap", "_open")

    def __init__(self) -> None:
        self._open = ""
        self._gap = False
        self._begun = False

    def feed(self, text: str) -> str:
        """The units that are certain now: marks may still be put in another order."""
        text = self._open + text
        end = len(text) - _open_marks(text)
        self._open = text[end:]
        return self._fold(text[:end])

    def end(self) -> str:
        """The rest."""
        rest, self._open = self._open, ""
        return self._fold(rest)

    def _fold(self, text: str) -> str:
        folded = fold(text)
        if not folded:
            self._gap = self._gap or bool(text)
            return ""
        apart = self._begun and (self._gap or text[0].isspace())
        self._begun = True
        self._gap = text[-1].isspace()
        return " " + folded if apart else folded


def is_mark(char: str) -> bool:
    """Whether it joins the character before it and may be put in another order."""
    return combining(normalize("NFD", char)[0]) != 0


def without_last_marks(text: str) -> tuple[str, str]:
    """The text up to its last character without a mark, and the marks on that.

    A cut may stand between two marks of one character, so these are compared on their own. Marks
    on nothing but white space stay where they are.
    """
    end = normalize("NFD", text[-_MOST_MARKS:])
    size = len(end)
    while size and combining(end[size - 1]):
        size -= 1
    if not size or end[size - 1].isspace():
        return text, ""
    return text[:-_MOST_MARKS] + end[:size], end[size:]


def length_of_units(text: str, units: int) -> tuple[int, str]:
    """How many characters of `text` make up so many units.

    With them comes what the last one holds beyond the units, decomposed: an accent, say.
    """
    start, counted, gap = _whole_blocks(text, units)
    for at in range(start, len(text)):
        if text[at].isspace():
            gap = counted > 0
            continue
        held = normalize("NFD", text[at])
        counted += len(held) + gap
        gap = False
        if counted >= units:
            return at + 1, held[len(held) - (counted - units) :]
    return len(text), ""


def _whole_blocks(text: str, units: int) -> tuple[int, int, bool]:
    """Go quickly through what is surely within the units: characters, units, space at the end."""
    at, counted, gap = 0, 0, False
    while at + _BLOCK < len(text):
        block = text[at : at + _BLOCK]
        folded = len(fold(block))
        if folded and counted and (gap or block[0].isspace()):
            folded += 1
        if counted + folded >= units:
            break
        gap = block[-1].isspace() if folded else gap or counted > 0
        counted += folded
        at += _BLOCK
    return at, counted, gap


def _open_marks(text: str) -> int:
    """Characters at the end that a mark still to come may have to be put between."""
    if text.isascii():
        return 0
    count = 0
    while count < min(len(text), _MOST_MARKS):
        if not combining(normalize("NFD", text[-1 - count])[-1]):
            break
        count += 1
    return count
