"""What the rules of a seam need to know of characters and words, in whatever script they are."""

import re
from itertools import takewhile
from typing import Final
from unicodedata import category

_WIDE: Final = ((0x3040, 0x30FF), (0x31F0, 0x31FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF))
_FIRST_WIDE_PLANE: Final = 0x20000
_LAST_WIDE_PLANE: Final = 0x3FFFF
_UNSPACED: Final = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF))
"""Thai, Lao, Burmese, Khmer: alphabets that are written without spaces between words."""
_MARKS: Final = frozenset(("Mn", "Mc"))
_VARIANTS: Final = frozenset(map(chr, range(0xFE00, 0xFE10)))
"""Variation selectors are marks by name, and stand on emoji."""

_WORDS: Final = re.compile(r"\w+")


def is_wide(char: str) -> bool:
    """Chinese characters and kana: each says as much as two letters, and words have no ends."""
    code = ord(char)
    return _FIRST_WIDE_PLANE <= code <= _LAST_WIDE_PLANE or any(a <= code <= b for a, b in _WIDE)


def is_unspaced(char: str) -> bool:
    """Of a script in which no space stands between two words."""
    return is_wide(char) or any(a <= ord(char) <= b for a, b in _UNSPACED)


def is_of_word(char: str) -> bool:
    """A letter, a digit, a mark on one, or what stands for one in a name."""
    return char.isalnum() or char == "_" or (category(char) in _MARKS and char not in _VARIANTS)


def weight(text: str) -> int:
    """How much a text says, in letters: punctuation counts nothing, a Chinese character two.

    Emoji count two as well.
    """
    return sum(_weight(char) for char in text)


def _weight(char: str) -> int:
    if char.isalnum():
        return 2 if is_wide(char) else 1
    return 2 if category(char) == "So" else 0


def words_in(text: str) -> list[str]:
    """The words of a text; where there are no spaces, each character is one."""
    return [
        part
        for word in _WORDS.findall(text)
        for part in (word if any(map(is_wide, word)) else [word])
    ]


def first_word(text: str) -> str:
    """The letters, digits and marks that a text begins with."""
    return "".join(takewhile(is_of_word, text))


def last_word(text: str) -> str:
    """The letters, digits and marks that a text ends with."""
    return first_word(text[::-1])[::-1]


def splits_word(before: str, after: str) -> bool:
    """Whether a cut between these two texts stands inside a word, as far as one can see."""
    if not before or not after or is_wide(before[-1]) or is_wide(after[0]):
        return False
    return is_of_word(before[-1]) and is_of_word(after[0])
