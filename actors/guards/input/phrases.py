r"""Phrases: what attacks say, in a notation for sequences of words, compiled to patterns. Pure.

`phrases.toml` has the phrases of each class and language. In a phrase,

- a letter matches itself in plain form, whatever its case;
- a space matches a gap between words: spaces, punctuation or nothing;
- `~3` matches up to three other words, and `…` up to twelve characters without a sentence's end;
- `»` matches anything, also ends of sentences and one of a line;
- `*` matches the rest of a word, `#` a number, and `'` or `-` also nothing or a space;
- `(a|b)`, `?` and `.` (any character) have the meaning of regular expressions;
- `{name}` stands for a list of words of the same language.
"""

import re
from collections.abc import Iterator, Mapping
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


LONGEST = 400
"""Most characters of a phrase, with the words that are skipped in it."""
_GAP = r"[\x00-/:-@\[-^`{-\x7f]*"
"""Spaces and punctuation except `_`, all of which is ASCII in plain form."""
_SPACE = r"[\x00-\x20\"#-\-/<=>@\[-^`{-\x7f]+"
"""The same without the ends of sentences, and at least one character."""
_WORD = r"[^\x00-\x20.!?;]+"
_SYMBOLS = {
    " ": _GAP,
    "»": r"\b[^\n]*?(?:\n[^\n]*?)?\b",
    "*": r"[a-z\x{80}-\x{10ffff}]*",
    "…": r"[^\n.!?]{0,12}?",
    "#": r"[0-9][0-9.,']*",
    "'": "[' ]?",
    "-": r"[-\s]?",
    "(": "(?:",
}
_RAW = {
    "wallet": r"(?:0x[0-9a-f]{4,}|bc1[0-9a-z]{4,}|[0-9a-z-]{1,60}\.eth\b)",
    "iban": r"(?:[a-z]{2}[0-9]{2} ?[0-9a-z]{4} ?[0-9a-z]{4}[0-9a-z]*)",
    "code": r"(?:[0-9a-z-]+)",
    "mail": r"(?:[0-9a-z._-]+@)",
}
"""Lists that are regular expressions already."""
_NOTATION = re.compile(r"~(\d)|\{(\w+)\}|(.)")
_BOUNDLESS = {"ar", "ja", "ko", "ru", "zh"}
"""Languages with letters that are not ASCII, of which RE2 knows no word boundaries."""


_ARABIC_PREFIXES = "\u0648\u0641\u0628\u0644"
"""And, so, by, to: written as one word with the next."""


def expression(phrase: str, words: Mapping[str, str]) -> str:
    """Return the regular expression of a phrase. Raises `KeyError` if it names an unknown list."""

    def symbol(match: re.Match[str]) -> str:
        count, name, other = match.groups()
        if count:
            return rf"(?:{_SPACE}{_WORD}){{0,{count}}}?"
        if name:
            return _RAW.get(name) or f"(?:{_NOTATION.sub(symbol, words[name])})"
        return _SYMBOLS.get(other) or (other if other in "|)?." else _letter(other))

    # The words that may be skipped bring their own gaps: "a ~3 b" has one before b.
    return _NOTATION.sub(symbol, phrase.replace(" ~", "~"))


def _letter(letter: str) -> str:
    """Return the pattern of a letter: its plain form, also that of its capital."""
    plain = sorted({folded(letter).lower(), folded(letter.upper()).lower()})
    return re.escape(*plain) if len(plain) == 1 else f"(?:{'|'.join(map(re.escape, plain))})"


def head(phrase: str) -> str:
    """Return the words with which a phrase begins: up to the first gap outside of groups."""
    depth = 0
    for at, character in enumerate(phrase):
        depth += (character == "(") - (character == ")")
        if depth == 0 and character in " ~…»":
            return phrase[:at]
    return phrase


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


class Rule(Struct, frozen=True):
    """The phrases of a class as patterns: of the words that they begin with, and of their whole.

    A search for whole phrases would follow hundreds of them at every character. Most texts have
    few of the first words, and after them only few phrases can follow.
    """

    heads: Pattern
    phrases: Pattern

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the places of phrases in a text in plain form. They may overlap."""
        for begin, _ in self.heads.finditer(text):
            if begin and _continues_word(text[begin - 1], text[begin]):
                continue
            size = self.phrases.match(text[begin : begin + LONGEST])
            if size:
                yield begin, begin + size


def _continues_word(before: str, first: str) -> bool:
    """Return True if a phrase would begin inside a word of a script that RE2 has no `\\b` for."""
    if first.isascii() or first >= "\u2e80" or not before.isalpha():
        return False  # ideographs, Kana and Hangul have no spaces between words
    return before not in _ARABIC_PREFIXES


@cache
def rules() -> dict[InputClass, Rule]:
    """Return the rule of each class, of its phrases in all languages. Takes half a second."""
    return {each: _rule(each) for each in InputClass}


def _rule(each: InputClass) -> Rule:
    heads: list[str] = []
    whole: list[str] = []
    for name, language in languages().items():
        before, after = ("", "") if name in _BOUNDLESS else (r"\b", r"\b")
        for phrase in language.phrases(each):
            heads.append(before + expression(f"({head(phrase)})", language.words) + after)
            pattern = expression(f"({phrase})", language.words)
            whole.append(pattern + ("" if phrase.endswith(":") else after))
    unique = "|".join(dict.fromkeys(heads))
    return Rule(
        patterns.compile(unique, ignore_case=True),
        patterns.compile("|".join(whole), ignore_case=True),
    )


@cache
def vocabulary() -> frozenset[str]:
    """Return the words of four letters or more in all phrases, in plain form."""
    text = files(__package__).joinpath("phrases.toml").read_text("utf-8")
    return frozenset(re.findall("[a-z]{4,}", folded(text).lower()))
