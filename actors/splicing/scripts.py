"""Character and word properties for the seam rules, in all scripts."""

import re
from itertools import takewhile
from typing import Final
from unicodedata import category

_WIDE: Final = ((0x3040, 0x30FF), (0x31F0, 0x31FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF))
_FIRST_WIDE_PLANE: Final = 0x20000
_LAST_WIDE_PLANE: Final = 0x3FFFF
_UNSPACED: Final = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF))
"""Thai, Lao, Burmese and Khmer, which are written without spaces between words."""
_MARKS: Final = frozenset(("Mn", "Mc"))
_VARIANTS: Final = frozenset(map(chr, range(0xFE00, 0xFE10)))
"""Variation selectors, which Unicode classes as marks although they follow emoji."""

_WORDS: Final = re.compile(r"\w+")


def is_wide(char: str) -> bool:
    """Return True for Chinese characters and kana, which are weighted as two letters each."""
    code = ord(char)
    return _FIRST_WIDE_PLANE <= code <= _LAST_WIDE_PLANE or any(a <= code <= b for a, b in _WIDE)


def is_unspaced(char: str) -> bool:
    """Return True for scripts without spaces between words."""
    return is_wide(char) or any(a <= ord(char) <= b for a, b in _UNSPACED)


def is_word_char(char: str) -> bool:
    """Return True for letters, digits, the marks on them, and the underscore."""
    return char.isalnum() or char == "_" or (category(char) in _MARKS and char not in _VARIANTS)


def weight(text: str) -> int:
    """Return the information content of a text in letters.

    Chinese characters, kana and emoji count as two letters, punctuation and spaces as none.
    """
    return sum(_weight(char) for char in text)


def _weight(char: str) -> int:
    if char.isalnum():
        return 2 if is_wide(char) else 1
    return 2 if category(char) == "So" else 0


def words_in(text: str) -> list[str]:
    """Return the words of a text; in words with Chinese characters or kana, each character."""
    return [
        part
        for word in _WORDS.findall(text)
        for part in (word if any(map(is_wide, word)) else [word])
    ]


def first_word(text: str) -> str:
    """Return the letters, digits and marks that a text begins with."""
    return "".join(takewhile(is_word_char, text))


def last_word(text: str) -> str:
    """Return the letters, digits and marks that a text ends with."""
    return first_word(text[::-1])[::-1]


def splits_word(before: str, after: str) -> bool:
    """Return True if a cut between these texts may be inside a word, judged by its neighbours."""
    if not before or not after or is_wide(before[-1]) or is_wide(after[0]):
        return False
    return is_word_char(before[-1]) and is_word_char(after[0])
