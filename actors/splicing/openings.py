"""Whether a second answer that repeats nothing is a new beginning instead of the rest.

The signs are those of the form alone: what the two texts are about is not understood here.
"""

import re
from typing import Final

from actors.splicing.boundaries import block_of, in_code, in_fence, last_line, stops_midway
from actors.splicing.repetition import alike
from actors.splicing.scripts import first_word, last_word, splits_word
from actors.splicing.seam_words import (
    AFTER_REMARK,
    ANNOUNCEMENTS,
    BEFORE_NOUN,
    OPENERS,
    OPENING_MARKS,
    REMARKS,
    SPACED_DASHES,
)

LOOK: Final = 48
"""Characters of the second answer, behind white space, that these rules look at."""
_SEEN: Final = 4000
"""Characters at the end of the shown text in which names are looked for."""

_NOUNS: Final = (0.2, 20)
"""Share of capitals among the words inside of sentences from which on all nouns have them, as in
German, and how many such words it takes to tell."""
_INSIDE: Final = re.compile(r"(?:(?<=[^\W\d_] )|(?<=[^\W\d_], ))[^\W\d_]+")
"""Words inside of sentences: behind another one, or a comma."""
_NEW_BLOCKS: Final = ("#", ".", ")", "|", "```")
"""Headings, numbered items, tables, fences: never in the middle of a sentence, as a dash may be."""
_REOPENED: Final = re.compile(r"```\w")
_FENCE_LINE: Final = re.compile(r"```\w{1,20}\n")
_DOTS: Final = re.compile(r"(?:\.{3}|…)\s{0,2}")


def remarks_first(second: str) -> bool:
    """It begins by talking to the one who asked: `Sure!`, `Here is the rest`."""
    text = second.lstrip().lstrip(OPENING_MARKS)[:LOOK]
    if text[:1].islower():
        return False
    text = text.casefold().replace("\u2019", "'")
    return any(_is_remark(text, words) for words in REMARKS) or any(
        text.startswith(words) and not splits_word(words, text[len(words) :])
        for words in ANNOUNCEMENTS
    )


def opens_anew(shown: str, second: str) -> bool:
    """The shown text stops midway, and the second answer begins as a whole answer does."""
    start = second.lstrip()[:LOOK]
    if in_code(shown):
        return _REOPENED.match(start) is not None or _is_prose(start)
    if not stops_midway(shown):
        return False
    block = block_of(start)
    if block and block == block_of(last_line(shown).lstrip()):
        return False
    return block.startswith(_NEW_BLOCKS) or _has_capital(shown, start)


def _is_remark(text: str, words: str) -> bool:
    rest = text[len(words) : len(words) + 2]
    return text.startswith(words) and (rest[:1] in AFTER_REMARK or rest in SPACED_DASHES)


def _is_prose(start: str) -> bool:
    """A sentence where code is to go on: `You can use`, but not `Foo(` or `if x`."""
    word = first_word(start)
    rest = start[len(word) :]
    opener = word[:1].isupper() and word.casefold() in OPENERS
    return opener and rest[:1] == " " and rest[1:2].islower()


def _has_capital(shown: str, start: str) -> bool:
    """It begins with a capital letter that the middle of a sentence does not explain."""
    word = first_word(start.lstrip(OPENING_MARKS))
    if not word[:1].isupper():
        return False
    if word.casefold() in OPENERS:
        return True
    shown = shown[-_SEEN:]
    return not (is_never_small(word) or is_known_name(word, shown) or awaits_noun(shown))


def is_never_small(word: str) -> bool:
    """`I`, `HTTP`, `TypeError`, `B2`: the capital has nothing to do with the place."""
    return word == "I" or not word[1:].islower()


def is_known_name(word: str, shown: str) -> bool:
    """The shown text has the word, with its capital, inside of a sentence."""
    return word in _INSIDE.findall(shown)


def awaits_noun(shown: str) -> bool:
    """Nouns have capitals in this language, and one is likely to come next."""
    share, least = _NOUNS
    words = _INSIDE.findall(shown)
    if len(words) < least or sum(word[0].isupper() for word in words) < share * len(words):
        return False
    return last_word(shown.rstrip()).casefold() in BEFORE_NOUN


def lead_in(shown: str, second: str) -> int:
    """Characters in front of a repetition that are none of it.

    Three dots, or the fence of a block of code that is open already; unless the shown text begins
    with them, too.
    """
    start = len(second) - len(second.lstrip())
    lead = _DOTS.match(second, start) or (in_fence(shown) and _FENCE_LINE.match(second, start))
    if not lead or alike(shown.lstrip(), lead[0]) in (len(lead[0]), len(shown.strip())):
        return 0
    return lead.end()
