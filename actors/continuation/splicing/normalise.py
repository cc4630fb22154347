"""Normalises text for comparison: joins runs of white space and decomposes Unicode (NFD).

Two models that write the same text may differ in both. A *unit* is one character of folded text.
"""

from itertools import takewhile
from typing import Final
from unicodedata import combining, normalize

_BLOCK: Final = 256
"""Characters folded at once while skipping through a long text, which is much faster than one."""
_MOST_MARKS: Final = 32
"""Maximum combining marks on one character that are reordered; Unicode's stream-safe format
allows 30."""


def fold(text: str) -> str:
    """Return the folded text without surrounding white space."""
    return " ".join(normalize("NFD", text).split())


class Folder:
    """Incremental `fold`: the joined results of `feed` and `end` equal `fold` of the whole text."""

    __slots__ = ("_gap", "_open", "_started")

    def __init__(self) -> None:
        self._open = ""
        self._gap = False
        self._started = False

    def feed(self, text: str) -> str:
        """Add text and return the units that are final; the last marks may still be reordered."""
        text = self._open + text
        end = len(text) - len(_trailing_marks(text))
        self._open = text[end:]
        return self._fold(text[:end])

    def end(self) -> str:
        """Return the remaining units."""
        rest, self._open = self._open, ""
        return self._fold(rest)

    def _fold(self, text: str) -> str:
        folded = fold(text)
        if not folded:
            self._gap = self._gap or bool(text)
            return ""
        apart = self._started and (self._gap or text[0].isspace())
        self._started = True
        self._gap = text[-1].isspace()
        return " " + folded if apart else folded


def is_mark(char: str) -> bool:
    """Return True for a combining mark that normalization may reorder."""
    return combining(normalize("NFD", char)[0]) != 0


def split_trailing_marks(text: str) -> tuple[str, str]:
    """Split off the combining marks on the text's last character.

    They are compared separately, since a cut may fall between two marks of one character. Marks on
    white space are not split off.
    """
    end = normalize("NFD", text[-_MOST_MARKS:])
    size = len(end) - len(_trailing_marks(end))
    if not size or end[size - 1].isspace():
        return text, ""
    return text[:-_MOST_MARKS] + end[:size], end[size:]


def length_of_units(text: str, units: int) -> tuple[int, str]:
    """Return the number of characters of `text` that fold to `units` units, and a remainder.

    The remainder is the part of the last character beyond these units, decomposed: for example an
    accent.
    """
    at, counted, added, step = 0, 0, 0, _BLOCK
    while step and at < len(text):
        added = len(fold(text[at : at + step]))
        if added and counted and any(map(str.isspace, text[at - 1 : at + 1])):
            added += 1
        if added and counted + added >= units:
            step //= 2
        else:
            counted += added
            at += step
    if at >= len(text):
        return len(text), ""
    last = normalize("NFD", text[at])
    return at + 1, last[len(last) - (counted + added - units) :]


def _trailing_marks(text: str) -> list[str]:
    """Return the last characters, in reverse, that a following mark could be sorted into."""
    return list(takewhile(_ends_with_mark, reversed(text[-_MOST_MARKS:])))


def _ends_with_mark(char: str) -> bool:
    return combining(normalize("NFD", char)[-1]) != 0
