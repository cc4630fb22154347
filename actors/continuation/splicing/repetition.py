"""Streaming comparison: measures how much of the shown text a second answer repeats.

The second answer is compared with the start and with the end of the shown text, in units of folded
text (`normalise`). The work is linear in the length of both texts, however small the pieces are.
"""

from bisect import bisect_left
from collections.abc import Callable
from typing import Final

from actors.continuation.splicing.normalise import Folder, fold

WINDOW: Final = 8192
"""Characters at the end of the shown text that are searched for an overlap."""
_BLOCK: Final = 4096
"""Characters of the shown text that are folded at once."""


class Repetition:
    """Incremental comparison of the second answer with the shown text."""

    __slots__ = ("_folder", "end", "start")

    def __init__(self, shown: str) -> None:
        self.start = PrefixMatch(shown)
        self.end = TailMatch(fold(shown[-WINDOW:]))
        self._folder = Folder()

    @property
    def open(self) -> bool:
        """True while text still to come may turn out to be a repetition."""
        return not self.start.covered and (self.start.open or self.end.open)

    @property
    def compared(self) -> int:
        """Units compared so far, as a measure of the work done."""
        return self.start.compared + self.end.compared

    def feed(self, text: str) -> None:
        """Compare more of the second answer."""
        self._compare(self._folder.feed(text))

    def stop(self) -> None:
        """Compare the units that were held back for reordering, and end the comparison."""
        self._compare(self._folder.end())

    def _compare(self, units: str) -> None:
        if units:
            self.start.feed(units)
            self.end.feed(units)


class PrefixMatch:
    """Comparison with the beginning of the shown text, which is folded only as far as needed."""

    __slots__ = ("_ahead", "_at", "_folder", "_shown", "compared", "covered", "matched", "open")

    def __init__(self, shown: str) -> None:
        self._shown = shown
        self._at = 0
        self._folder = Folder()
        self._ahead = ""
        self.matched = 0
        """Number of units that both texts begin with."""
        self.covered = False
        """True once all of the shown text has been repeated."""
        self.open = bool(shown) and not shown.isspace()
        self.compared = 0

    def feed(self, units: str) -> None:
        """Compare the next units of the second answer."""
        if not self.open:
            return
        self._read_ahead(len(units))
        same = common_prefix_length(units, self._ahead)
        self.matched += same
        self.compared += len(units)
        self.covered = same == len(self._ahead)
        self.open = same == len(units) and not self.covered
        self._ahead = self._ahead[same:]

    def _read_ahead(self, count: int) -> None:
        """Fold until more than `count` units are ahead, or the shown text ends."""
        parts, size = [self._ahead], len(self._ahead)
        while size <= count and self._at <= len(self._shown):
            block = self._shown[self._at : self._at + _BLOCK]
            self._at += _BLOCK
            units = self._folder.feed(block)
            if self._at > len(self._shown):
                units += self._folder.end()
            parts.append(units)
            size += len(units)
        self._ahead = "".join(parts)


class TailMatch:
    """Search for the beginning of the second answer in the end of the shown text.

    `_at` is the first position in `tail` at which everything received so far matches.
    """

    __slots__ = ("_at", "_received", "_size", "compared", "open", "tail")

    def __init__(self, tail: str) -> None:
        self.tail = tail
        self._at = 0
        self._received: list[str] = []
        self._size = 0
        self.open = bool(tail)
        """True while there is a match at `_at` that hasn't reached the end of `tail`."""
        self.compared = 0

    @property
    def received(self) -> str:
        """Units of the second answer, as far as they were compared."""
        return "".join(self._received)

    def feed(self, units: str) -> None:
        """Compare the next units of the second answer."""
        if not self.open:
            return
        start = self._at + self._size
        here = self.tail[start : start + len(units)]
        self._received.append(units[: len(self.tail)])
        self._size += len(units)
        self.compared += len(units)
        if here != units and not units.startswith(here):
            self._move_on()
        elif start + len(units) >= len(self.tail):
            self.open = False

    def _move_on(self) -> None:
        # Each move skips at least half of the compared units or ends a period, so that the total
        # work is linear.
        before, found = self._at, self.tail.find(self.received, self._at + 1)
        self._at = len(self.tail) if found < 0 else found
        self.open = self._at + self._size < len(self.tail)
        self.compared += self._size + self._at - before

    def longest_overlap(self) -> int:
        """Return the length of the longest end of the shown text that the answer begins with."""
        return overlap(self.tail, self.received)

    def longest_quote(self) -> int:
        """Return the length of the longest beginning of the answer that occurs in `tail`."""
        return _longest(self.received, lambda start: start in self.tail)


def common_prefix_length(one: str, other: str) -> int:
    """Return the number of equal characters at the start of two texts."""
    return _longest(one, other.startswith)


def _longest(text: str, matches: Callable[[str], bool]) -> int:
    """Return the length of the longest beginning of the text that matches, as all shorter ones."""
    # A binary search over slices: comparing slices is far faster than a loop over characters.
    lengths = range(1, len(text) + 1)
    return bisect_left(lengths, True, key=lambda length: not matches(text[:length]))


def overlap(one: str, other: str) -> int:
    """Return the length of the longest end of `one` that `other` begins with.

    Uses the Knuth-Morris-Pratt algorithm, so the time is linear.
    """
    if not other:
        return 0
    back, size = _borders(other), 0
    for char in one[-len(other) :]:
        while size and (size == len(other) or other[size] != char):
            size = back[size - 1]
        if other[size] == char:
            size += 1
    return size


def _borders(text: str) -> list[int]:
    """Return for each prefix of the text the length of its longest proper border.

    A border is a prefix that is also a suffix.
    """
    found, size = [0], 0
    for char in text[1:]:
        while size and text[size] != char:
            size = found[size - 1]
        size += text[size] == char
        found.append(size)
    return found
