"""Folding: the plain form of text, in which characters that look alike are the same. Pure.

Each character is folded alone: compatibility forms (NFKC), marks removed, the letters that Unicode
calls confusable with a Latin one replaced by it, punctuation and spaces replaced by ASCII. Format
and control characters vanish. Case is kept, because Base64 needs it. Composition is left out: no
rule needs it, and `unicodedata.normalize` takes quadratic time for a long run of combining marks.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib.resources import files

from actors.guards import patterns
from actors.guards.input.layers import Layer, Piece, replace

SLICE = 16_384
"""Characters that are translated in one call, which holds the GIL for up to 2 ms."""
_MARK = "\uffff"
"""Stands for a character whose folded form is not one character; itself, it is removed."""
_KEPT_CONTROLS = "\t\n\r"
_BLANK = "\u2028\u2029\u2800\u0085\v\f"
"""Characters that show as space without being separators (category Zs)."""
_FILLERS = "\u115f\u1160\u0640"
"""Letters that show as nothing (Hangul fillers) or only lengthen a line (Arabic tatweel)."""
_NAMED = re.compile(
    "(?:LATIN LETTER SMALL CAPITAL|(?:NEGATIVE )?(?:SQUARED|CIRCLED) LATIN CAPITAL LETTER"
    "|REGIONAL INDICATOR SYMBOL LETTER) ([A-Z])"
)
"""Names of characters that look like a Latin letter, although Unicode does not call them so."""
_DOUBLE_QUOTES = "\u00ab\u00bb\u201c\u201d\u201e\u201f\u300c\u300d\u300e\u300f\u301d\u301e"
_PUNCTUATION = str.maketrans(dict.fromkeys(_DOUBLE_QUOTES, '"') | {"、": ",", "。": "."})
_MAX_TABLE = 20_000
"""Most characters whose folded form is remembered, about 2 MB: there are a million."""


@cache
def confusables() -> dict[str, str]:
    """Return the Latin letter that each other letter can be confused with.

    From Unicode's confusables.txt by way of confusable-homoglyphs 3.3.1: every letter that is
    still not ASCII after NFKC and the removal of marks, and confusable with one ASCII letter. Of I
    and l, which are confusable with each other, capitals are taken for I.
    """
    lines = files(__package__).joinpath("confusables.txt").read_text("utf-8").splitlines()
    return {
        letter: "I" if line[0] == "l" and letter.isupper() else line[0]
        for line in lines
        if not line.startswith("#")
        for letter in line[2:]
    }


@lru_cache(4096)
def fold_character(character: str) -> str:
    """Return the plain form of a character, which may be empty or longer."""
    code = ord(character)
    if 0xE0020 <= code <= 0xE007E:  # tags, with which ASCII can be written invisibly
        return chr(code - 0xE0000)
    if 0xE0110 <= code <= 0xE016E:  # variation selectors 33 to 127, likewise
        return chr(code - 0xE00F0)
    if character in _BLANK:
        return " "
    return "".join(map(_fold_plain, unicodedata.normalize("NFKC", character)))


def _fold_plain(character: str) -> str:
    category = unicodedata.category(character)
    if character.isascii():
        return "" if category == "Cc" and character not in _KEPT_CONTROLS else character
    if category.startswith("L"):
        return "" if character in _FILLERS else _fold_letter(character)
    if category in {"Mn", "Me", "Cf", "Cc", "Cs"} or character == _MARK:
        return ""
    if category.startswith("Z"):
        return " "
    if category[0] in "PS":
        return _fold_symbol(character, category)
    return character


def _fold_letter(letter: str) -> str:
    if 0xAC00 <= ord(letter) <= 0xD7A3:  # Hangul decomposes into other letters, not into marks
        return letter
    base = unicodedata.normalize("NFD", letter)[0]
    table = confusables()
    if (found := table.get(base)) is None:
        # Unicode lists only the capital of some letters, such as the Cyrillic Ka.
        found = table.get(base.swapcase())
        found = base if found is None else found.swapcase()
    if found == base and (named := _NAMED.fullmatch(unicodedata.name(base, ""))):
        return named[1].lower()
    return found


def _fold_symbol(symbol: str, category: str) -> str:
    folded = symbol.translate(_PUNCTUATION)
    if folded != symbol:
        return folded
    if named := _NAMED.fullmatch(unicodedata.name(symbol, "")):
        return named[1].lower()
    return {"Pd": "-", "Pi": "'", "Pf": "'"}.get(category, "*")


class _Table(dict[int, int | str]):
    """Folded forms for `str.translate`, computed when needed; `_MARK` if not one character."""

    def __missing__(self, code: int) -> int | str:
        if 0x3400 <= code <= 0x9FFF or 0xAC00 <= code <= 0xD7A3:
            return code  # ideographs and Hangul, which would fill the table
        folded = fold_character(chr(code))
        value = folded if len(folded) == 1 else _MARK
        if len(self) < _MAX_TABLE:
            self[code] = value
        return value


_TABLE = _Table()


INVISIBLE = patterns.compile(r"[\p{Cf}\x{e0100}-\x{e01ef}]")
"""Characters that show as nothing and may stand between words or inside them."""


def is_invisible(character: str) -> bool:
    """Return True for one of `INVISIBLE`."""
    category = unicodedata.category(character)
    return category == "Cf" or (category == "Mn" and character >= "\U000e0100")


def fold(text: str, invisible: str = "") -> Layer:
    """Return the text in its plain form, with `invisible` for characters that show as nothing."""
    slices = range(0, len(text), SLICE)
    translated = "".join(text[begin : begin + SLICE].translate(_TABLE) for begin in slices)
    return replace(translated, _replaced(text, translated, invisible))


def _replaced(text: str, translated: str, invisible: str) -> Iterator[Piece]:
    """Yield a piece for each run of characters that become none or several."""
    for offset in range(0, len(text), SLICE):
        for found in re.finditer(f"{_MARK}+", translated[offset : offset + SLICE]):
            begin, end = offset + found.start(), offset + found.end()
            plain = "".join(map(fold_character, text[begin:end]))
            if not plain and invisible and is_invisible(text[begin]):
                plain = invisible
            yield Piece(begin, end, plain)


def folded(text: str) -> str:
    """Return the plain form of a text, without the positions that `fold` keeps."""
    slices = range(0, len(text), SLICE)
    return "".join(["".join(map(fold_character, text[at : at + SLICE])) for at in slices])
