r"""Phrases: what attacks say, in a notation for sequences of words, compiled to patterns. Pure.

`phrases.toml` has the phrases of each class and language. In a phrase,

- a letter matches itself in plain form, and digits and signs that are used for it (`1gn0re`);
- a space matches a gap between words: spaces, punctuation or nothing;
- `~3` matches up to three other words, and `…` up to twelve characters without a sentence's end;
- `*` matches the rest of a word, `#` a number, and `'` or `-` also nothing or a space;
- `(a|b)`, `?` and `.` (any character) have the meaning of regular expressions;
- `{name}` stands for a list of words of the same language.
"""

import re
from enum import StrEnum
from functools import cache
from importlib.resources import files

import msgspec
from msgspec import Struct

from actors.guards import patterns
from actors.guards.input.folding import folded
from actors.guards.patterns import Pattern


class InputClass(StrEnum):
    """A class of attacks. Its name is that of its table in `phrases.toml`."""

    INSTRUCTION_OVERRIDE = "instruction_override"
    ENCODING_TRICK = "encoding_trick"
    AUTHORITY_CLAIM = "authority_claim"
    FINANCIAL_DRAIN = "financial_drain"


_LEET = {
    "a": "a4@",
    "b": "b8",
    "e": "e3",
    "g": "g9",
    "i": "i1!|l",
    "l": "l1|",
    "o": "o0",
    "s": "s5$",
    "t": "t7",
}
"""Digits and signs that are used for letters. A capital I shows as a small L."""
_GAP = r"[\x00-/:-@\[-^`{-\x7f]{0,8}"
"""Spaces and punctuation except `_`, all of which is ASCII in plain form."""
_SPACE = r"[\x00-\x20\"#-\-/<=>@\[-^`{-\x7f]{1,4}"
"""The same without the ends of sentences, and at least one character."""
_MORE = r"[a-z\x{80}-\x{10ffff}]*"
_NOTATION = re.compile(r"~(\d)|\{(\w+)\}|(\w)|(.)", re.ASCII)
_BOUNDLESS = {"ar", "ja", "ko", "ru", "zh"}
"""Languages with letters that are not ASCII, of which RE2 knows no word boundaries."""
_RAW = {"wallet": r"(?:0x[0-9a-f]{4,}|bc1[0-9a-z]{4,}|[0-9a-z-]{1,60}\.eth\b)"}
"""Lists that are regular expressions already."""
_SYMBOLS = {
    " ": _GAP,
    "*": _MORE,
    "…": r"[^\n.!?]{0,12}?",
    "#": r"[0-9][0-9.,']{0,15}",
    "'": "[' ]?",
    "-": r"[-\s]?",
    "(": "(?:",
}


def _letter(letter: str) -> str:
    """Return the pattern of a letter: its plain form, also that of its capital."""
    plain = {folded(letter).lower(), folded(letter.upper()).lower()}
    if len(plain) == 1 and (variants := _LEET.get(*plain)):
        return f"[{variants}]"
    return f"(?:{'|'.join(map(re.escape, sorted(plain)))})" if len(plain) > 1 else re.escape(*plain)


def expression(phrase: str, words: dict[str, str], *, bounded: bool) -> str:
    """Return the regular expression of a phrase. Raises `KeyError` if it names an unknown list."""

    def symbol(match: re.Match[str]) -> str:
        count, name, letter, other = match.groups()
        if count:
            return rf"(?:{_SPACE}[^\s.!?;]+){{0,{count}}}?"
        if name:
            return _RAW.get(name) or f"(?:{_NOTATION.sub(symbol, words[name])})"
        if letter:
            return _letter(letter)
        return _SYMBOLS.get(other) or (other if other in "|)?." else _letter(other))

    # The words that may be skipped bring their own gaps: "a ~3 b" has one before b.
    pattern = _NOTATION.sub(symbol, phrase.replace(" ~", "~"))
    if not bounded:
        return pattern
    return rf"\b(?:{pattern})" + ("" if phrase.endswith(":") else r"\b")


class Language(Struct, frozen=True, forbid_unknown_fields=True):
    """The phrases of one language, and its lists of words."""

    instruction_override: tuple[str, ...] = ()
    encoding_trick: tuple[str, ...] = ()
    authority_claim: tuple[str, ...] = ()
    financial_drain: tuple[str, ...] = ()
    words: dict[str, str] = {}

    def phrases(self, each: InputClass) -> tuple[str, ...]:
        """Return the phrases of a class."""
        found: tuple[str, ...] = getattr(self, each)
        return found


@cache
def languages() -> dict[str, Language]:
    """Return the phrases by language."""
    text = files(__package__).joinpath("phrases.toml").read_text("utf-8")
    return msgspec.toml.decode(text, type=dict[str, Language])


@cache
def compiled() -> dict[InputClass, Pattern]:
    """Return one pattern for each class, of all its phrases in all languages."""
    return {
        each: patterns.compile(
            "|".join(
                expression(phrase, language.words, bounded=name not in _BOUNDLESS)
                for name, language in languages().items()
                for phrase in language.phrases(each)
            ),
            ignore_case=True,
        )
        for each in InputClass
    }
