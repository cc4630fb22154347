"""Overlap of two texts in words, in bounded time. Pure."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import takewhile

from msgspec import Struct

from actors.guards.prose import sentences

LONGEST = 20_000
"""Characters of a text that are compared; a repetition is plain long before."""

CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3"
"""Characters of scripts that have no spaces between words, for a class of a pattern."""
_WORD = re.compile(rf"[{CJK}]|[^\W_{CJK}]+")


def words(text: str) -> list[str]:
    """Return the words of the prose at the beginning of a text, in lower case."""
    prose, _ = sentences(text[:LONGEST])
    return [word for one in prose for word in _WORD.findall(one.text.lower())]


class Overlap(Struct, frozen=True):
    """Shares of the words of a text, from 0 to 1, that another text has too."""

    tokens: float
    """Share of all words, each counted as often as both texts have it."""
    prefix: float
    """Share of words before the first one that differs."""


def overlap(text: Sequence[str], other: Sequence[str]) -> Overlap:
    """Return the overlap of the words of a text with those of another."""
    if not text:
        return Overlap(0, 0)
    common = (Counter(text) & Counter(other)).total()
    pairs = zip(text, other, strict=False)
    prefix = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    return Overlap(common / len(text), prefix / len(text))
