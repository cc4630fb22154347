"""How far a text that comes in pieces repeats another one, from its start or from its end on.

All the work is linear in the length of both texts, however small the pieces are.
"""

from typing import Final

from actors.splicing.folding import Folder, fold

WINDOW: Final = 8192
"""Characters at the end of the shown text in which an overlap is looked for."""
_BLOCK: Final = 4096


class Repetition:
    """Compares the second answer, as it comes, with what was shown.

    While it is `open`, what comes next may still turn out to be a repetition.
    """

    __slots__ = ("_folder", "end", "start")

    def __init__(self, shown: str) -> None:
        self.start = FromStart(shown)
        self.end = InTail(fold(shown[-WINDOW:]))
        self._folder = Folder()

    @property
    def open(self) -> bool:
        return not self.start.covered and (self.start.open or self.end.open)

    @property
    def compared(self) -> int:
        """Units looked at so far: a measure of the work done."""
        return self.start.compared + self.end.compared

    def feed(self, text: str) -> None:
        """More of the second answer."""
        self._compare(self._folder.feed(text))

    def stop(self) -> None:
        """No more of it is compared."""
        self._compare(self._folder.end())

    def _compare(self, units: str) -> None:
        if units:
            self.start.feed(units)
            self.end.feed(units)


class FromStart:
    """Compares with the shown text from its very beginning, which is folded only as needed."""

    __slots__ = ("_ahead", "_at", "_folder", "_shown", "alike", "compared", "covered", "open")

    def __init__(self, shown: str) -> None:
        self._shown = shown
        self._at = 0
        self._folder = Folder()
        self._ahead = ""
        self.alike = 0
        """Units that both texts begin with."""
        self.covered = False
        """All of the shown text has been repeated."""
        self.open = bool(shown) and not shown.isspace()
        self.compared = 0

    def feed(self, units: str) -> None:
        """The next units of the second answer."""
        if not self.open:
            return
        self._read_ahead(len(units))
        same = alike(units, self._ahead)
        self.alike += same
        self.compared += len(units)
        self.covered = same == len(self._ahead)
        self.open = same == len(units) and not self.covered
        self._ahead = self._ahead[same:]

    def _read_ahead(self, count: int) -> None:
        """Fold until more than so many units are ahead, or the shown text is at its end."""
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


class InTail:
    """Looks for the second answer's beginning in the end of the shown text."""

    __slots__ = ("_at", "_said", "_size", "compared", "open", "tail")

    def __init__(self, tail: str) -> None:
        self.tail = tail
        self._at = 0
        self._said: list[str] = []
        self._size = 0
        self.open = bool(tail)
        """There is a place from which all that has come is the same, and the end not reached."""
        self.compared = 0

    @property
    def said(self) -> str:
        """The second answer's units as far as they were compared."""
        return "".join(self._said)

    def feed(self, units: str) -> None:
        """The next units of the second answer."""
        if not self.open:
            return
        start = self._at + self._size
        here = self.tail[start : start + len(units)]
        self._said.append(units[: len(self.tail)])
        self._size += len(units)
        self.compared += len(units)
        if here != units and not units.startswith(here):
            self._next_place()
        elif start + len(units) >= len(self.tail):
            self.open = False

    def _next_place(self) -> None:
        # Each move goes at least half as far as was compared, or ends a period: linear in all.
        before, found = self._at, self.tail.find(self.said, self._at + 1)
        self._at = len(self.tail) if found < 0 else found
        self.open = self._at + self._size < len(self.tail)
        self.compared += self._size + self._at - before

    def longest_overlap(self) -> int:
        """Units at the end of the shown text that the second answer begins with."""
        return overlap(self.tail, self.said)

    def longest_quote(self) -> int:
        """Units that the second answer begins with and that stand anywhere in here."""
        said = self.said
        low, high = 0, min(len(said), len(self.tail))
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if said[:middle] in self.tail else (low, middle - 1)
        return low


def alike(one: str, other: str) -> int:
    """How many characters two texts have in common from the start."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def overlap(one: str, other: str) -> int:
    """The length of the longest end of `one` that `other` begins with (Knuth, Morris, Pratt)."""
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
    """For each beginning of the text: the longest shorter beginning that is also its end."""
    found, size = [0], 0
    for char in text[1:]:
        while size and text[size] != char:
            size = found[size - 1]
        size += text[size] == char
        found.append(size)
    return found
