"""Flow: cuts text between words, where no credential, number or mark is cut in two. Pure.

A word is a run of visible ASCII characters; white space and letters of other scripts end it. Text
settles behind its last word but one, unless a check joins that gap, as in `password = x`. Cuts
depend on the text before them alone, so results do not depend on the pieces in which text arrives.
"""

import re
from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct

from actors.guards.spec import Span, SpanCheck
from actors.runtime.offload import give_way

_VISIBLE = "".join(map(chr, (*range(33, 127), 0x17F, 0x212A)))
"""Characters of words. The last two are an s and a k for patterns that ignore case."""
_PUNCTUATION = re.compile(r".*[,;(){}<>|&\s]", re.DOTALL), re.compile(r".*[^\w.~-]", re.DOTALL)


def joins_nothing(text: str, gap_end: int) -> int:
    """Join no gaps."""
    return gap_end


def no_block(text: str) -> None:
    """Find no block."""


class Flow(Struct, frozen=True):
    """A way to cut text. No piece is longer than `longest`, nor is the text that is held."""

    longest: int
    joined: Callable[[str, int], int] = joins_nothing
    """Returns the begin of the words that the gap joins which ends at a position, or the position
    itself. The text begins at a cut, and the character at the position is known."""
    last_block: Callable[[str], tuple[int, int] | None] = no_block
    """Returns the begin and end of the last block of a text, which no gap cuts in two, or None.
    The end of one that is open is behind the text."""
    forced: tuple[re.Pattern[str], ...] = _PUNCTUATION
    """Patterns for the beginning of a text without a gap, behind which it is cut best."""

    def settle(self, text: str) -> int:
        """Return how much of the text can be cut off."""
        begin = 0
        while len(text) - begin > self.longest:
            begin += self._first_cut(text[begin : begin + self.longest])
        return begin + self._last_gap(text[begin:] if begin else text)

    def pieces(self, text: str) -> Iterator[tuple[int, str]]:
        """Yield pieces of a whole text with their positions."""
        begin = 0
        while len(text) - begin > self.longest:
            size = self._first_cut(text[begin : begin + self.longest])
            yield begin, text[begin : begin + size]
            begin += size
        yield begin, text[begin:] if begin else text

    def check(
        self, spans: Callable[[str], Iterable[Span]], *, everywhere: bool = False
    ) -> SpanCheck:
        """Return a check of the spans that are found in pieces one by one."""

        def find(text: str) -> list[Span]:
            if len(text) <= self.longest:
                return list(spans(text))
            found: list[Span] = []
            for begin, piece in self.pieces(text):
                for span in spans(piece):
                    at, end = begin + span.begin, begin + span.end
                    found.append(Span(at, end, span.replacement))
                give_way()
            return found

        return SpanCheck(settle=self.settle, find=find, everywhere=everywhere)

    def _first_cut(self, text: str) -> int:
        """Return a cut in a text of the greatest length: behind its last gap, if it has one."""
        if gap := self._last_gap(text):
            return gap
        half = len(text) // 2
        cuts = (match.end() for pattern in self.forced if (match := pattern.match(text)))
        return next((cut for cut in cuts if cut > half), len(text))

    def _last_gap(self, text: str) -> int:
        """Return the end of the last gap that joins nothing and is in no block, or 0."""
        limit = len(text)
        while True:
            gap = self._last_gap_of_words(text, limit)
            block = self.last_block(text[:limit])
            if block is None or gap >= (block[1] if limit == len(text) else min(block[1], limit)):
                return gap
            limit = block[0]

    def _last_gap_of_words(self, text: str, limit: int) -> int:
        head = text[:limit]
        if head.isascii() and head.isprintable() and " " not in head:
            return 0  # the search below would take ten times longer in a long word
        end = len(head.rstrip(_VISIBLE))
        if end == len(text):  # the character behind a gap says whether it joins
            end = word_begin(text, end)
        while end and (begin := self.joined(text, end)) < end:
            end = begin
        return end


def word_begin(text: str, end: int) -> int:
    """Return the beginning of the last word, which white space may follow."""
    return len(text[:end].rstrip().rstrip(_VISIBLE))
