# ruff: noqa: RUF001, SIM905
"""Facts about characters and words of all scripts, for the seam rules.

The constants list marks, chat phrases and words that decide a rule; the functions classify
characters and split texts into words.
"""

import re
from itertools import takewhile
from typing import Final
from unicodedata import category

_WIDE: Final = re.compile(
    r"[\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_UNSPACED: Final = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")
"""Thai, Lao, Burmese and Khmer, which are written without spaces between words."""
_MARKS: Final = frozenset(("Mn", "Mc"))
_VARIANTS: Final = frozenset(map(chr, range(0xFE00, 0xFE10)))
"""Variation selectors, which Unicode classes as marks although they follow emoji."""

_WORDS: Final = re.compile(r"\w+")

CLOSERS: Final = "\"'”’»›)]*_`）」』】"
"""Characters that may follow a sentence's last letter or its final punctuation."""
STOPS: Final = ".!?…‥。！？｡۔।॥؟։።:;：；"
"""Marks after which a sentence may begin; colons and semicolons too, for lists and code."""
MIDWAY: Final = ",،、，-–—("
"""Marks after which a sentence continues."""
OPENING_MARKS: Final = " \"'“‘«»„([{*_`¿¡…—–-•#>「『（"
"""Characters that may precede the first word of a sentence."""
SPACED_MARKS: Final = ".!?…,;:،؟۔।"
"""Marks that are followed by a space."""
SPACED_CLOSERS: Final = ")]}”»"
"""Closing marks that are followed by a space."""
OPEN_IN_CODE: Final = "([{.,=+-*/%<&|!~^@$"
"""Characters that don't end a line of code, or after which white space has no meaning."""
GOING_ON_IN_CODE: Final = ")]}([.,;:=+-*/%<>&|!?"
"""Characters that don't begin a line of code, or before which white space has no meaning."""

REMARKS: Final = tuple(
    "sure|certainly|absolutely|of course|okay|ok|alright|got it|understood|no problem|sorry|"
    "apologies|my apologies|natürlich|klar|gerne|selbstverständlich|entschuldigung|bien sûr|"
    "d'accord|désolé|claro|por supuesto|desde luego|perdón|certo|certamente|com certeza|"
    "конечно|хорошо|разумеется|好的|当然|当然可以|抱歉|没问题|對不起|もちろん|もちろんです|"
    "はい|承知しました|申し訳ありません|물론|물론입니다|네|죄송합니다|بالطبع|بالتأكيد|"
    "ज़रूर|बिल्कुल|elbette|tabii|tabii ki".split("|")
)
"""Chat openings, which count only before punctuation, unlike `Sure enough`."""
AFTER_REMARK: Final = frozenset(("", *",.!:;，。！：、—–-\n"))
SPACED_DASHES: Final = frozenset((" —", " –", " -"))
ANNOUNCEMENTS: Final = tuple(
    "here is|here's|here are the|here are some|continuing|continuation|to continue|resuming|"
    "picking up|let me continue|let me start|let's continue|i'll continue|i will continue|"
    "i apologize|i apologise|i'm sorry|i am sorry|sorry for|apologies for|sure here|sure thing|"
    "hier ist|hier sind|fortsetzung|voici|je continue|aquí está|aquí tienes|continuación|"
    "continúo|ecco|aqui está|continuando|вот|продолжаю|продолжение|以下是|继续|接着|続きです|"
    "続きを|以下に|다음은|계속해서|이어서".split("|")
)
"""Phrases that announce an answer instead of giving it."""

OPENERS: Final = frozenset(
    "a an the this that these those there here it its in on at to for from by with as if when "
    "while where who what why how which because although you your we our they he she my his her "
    "their let yes no not and but or so first most many some all each both one is are can do "
    "don please use think der die das ein eine ich es wir sie er man im am um wenn bei beim zum "
    "zur hier diese dieser dieses mit nach und aber für von aus auf als wie was wer wo warum ja "
    "nein natürlich zunächst zuerst le la les un une il elle on ce cette dans pour si je nous "
    "vous en au el los las una se esto este esta para yo".split()
)
"""Words that have a capital only at the beginning of a sentence."""
BEFORE_NOUN: Final = frozenset(
    "der die das den dem des ein eine einen einem einer eines kein keine keinen mein seine seiner "
    "ihre ihrer unser und oder im am vom zum zur beim ins ans von mit für ohne durch nach bei aus "
    "in an auf über unter zwischen vor gegen um als zwei drei vier mehr viele alle diese dieser "
    "dieses diesem diesen jede jeder".split()
)
"""German words after which a noun, and so a capital, is likely."""


def is_wide(char: str) -> bool:
    """Return True for Chinese characters and kana, which are weighted as two letters each."""
    return _WIDE.match(char) is not None


def is_unspaced(char: str) -> bool:
    """Return True for scripts without spaces between words."""
    return is_wide(char) or _UNSPACED.match(char) is not None


def is_word_char(char: str) -> bool:
    """Return True for letters, digits, the marks on them, and the underscore."""
    return char.isalnum() or char == "_" or (category(char) in _MARKS and char not in _VARIANTS)


def weight(text: str) -> int:
    """Return the information content of a text in letters.

    Chinese characters, kana and emoji count as two letters, punctuation and spaces as none.
    """
    return sum(_weight(char) for char in text)


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


def _weight(char: str) -> int:
    if char.isalnum():
        return 2 if is_wide(char) else 1
    return 2 if category(char) == "So" else 0
