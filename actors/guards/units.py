"""Units of text at whose ends span checks settle: words, lines and sentences. Pure.

The first boundary behind the beginning of a unit ends it, but it is never longer than `LONGEST`.
So units depend on the text alone, and not on the pieces in which it arrives. The white space
behind a unit is part of it.
"""

import re
from collections.abc import Iterator

from msgspec import Struct

LONGEST = 1000
"""Maximum number of characters of a unit."""


class Unit(Struct, frozen=True):
    """A kind of unit. `boundary` is a pattern for the end of one, which ends with white space."""

    boundary: re.Pattern[str]

    def settled(self, text: str) -> int:
        """Return the length of the whole units that `text` begins with."""
        end = 0
        for begin, size in self._whole(text):
            end = begin + size
        return end

    def first_end(self, text: str, least: int, most: int) -> int | None:
        """Return the first end of a unit from `least` on, or `most` if it has not ended there.

        Return None if more text is needed to tell.
        """
        ends = (begin + size for begin, size in self._whole(text[: most + 1]))
        end = next((end for end in ends if end >= least), None)
        return most if end is None and len(text) > most else end

    def split(self, text: str) -> list[tuple[int, str]]:
        """Return the units of `text` with their positions; the last one may be unfinished."""
        units = [(begin, text[begin : begin + size]) for begin, size in self._whole(text)]
        end = units[-1][0] + len(units[-1][1]) if units else 0
        return [*units, (end, text[end:])] if end < len(text) else units

    def _whole(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the position and the size of each whole unit."""
        begin, length = 0, len(text)
        while begin < length:
            found = self.boundary.search(text, begin, begin + LONGEST)
            if found is not None and found.end() < length:
                end = found.end()
            elif begin + LONGEST <= length:
                end = begin + LONGEST
            else:
                return  # more text may follow, at least more white space
            yield begin, end - begin
            begin = end


WORD = Unit(re.compile(r"\s+"))
LINE = Unit(re.compile(r"\n\s*"))
_CLOSING = "['\")\\]\u201d\u2019*_]*"
"""Characters that belong to the sentence before them."""
_FULL_WIDTH = "[\u3002\uff01\uff1f]"
SENTENCE = Unit(re.compile(rf"\n\s*|[.!?…]{_CLOSING}\s+|{_FULL_WIDTH}\s*"))
