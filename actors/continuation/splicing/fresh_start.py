"""Fresh-start detection: recognises a second answer that starts over instead of continuing.

Applies to answers that repeat nothing of the shown text. The rules look at form, not at meaning.
"""

import re
from typing import Final

from actors.continuation.splicing import boundaries, characters
from actors.continuation.splicing.repetition import common_prefix_length

LOOK: Final = 48
"""Characters of the second answer, after leading white space, that the rules examine."""
_SEEN: Final = 4000
"""Characters at the end of the shown text that are searched for names."""

_NOUNS: Final = (0.2, 20)
"""Minimum share of capitalised words inside sentences for a language that capitalises nouns, as
German does, and the minimum number of words inside sentences to judge by."""
_INSIDE: Final = re.compile(r"(?:(?<=[^\W\d_] )|(?<=[^\W\d_], ))[^\W\d_]+")
"""Words inside sentences, which follow another word or a comma."""
_NEW_BLOCKS: Final = ("#", ".", ")", "|", "```")
"""Marks of headings, numbered items, tables and fences. Unlike a dash, they never occur inside a
sentence."""
_REOPENED: Final = re.compile(r"```\w")
_FENCE_LINE: Final = re.compile(r"```\w{1,20}\n")
_DOTS: Final = re.compile(r"(?:\.{3}|…)\s{0,2}")


def begins_with_remark(second: str) -> bool:
    """Return True if the answer begins by addressing the user: `Sure!`, `Here is the rest`."""
    text = second.lstrip().lstrip(characters.OPENING_MARKS)[:LOOK]
    if text[:1].islower():
        return False
    text = text.casefold().replace("\u2019", "'")
    return any(_is_remark(text, words) for words in characters.REMARKS) or any(
        text.startswith(words) and not characters.splits_word(words, text[len(words) :])
        for words in characters.ANNOUNCEMENTS
    )


def starts_over(shown: str, second: str) -> bool:
    """Return True if the shown text stops midway and the second answer begins like a new one."""
    start = second.lstrip()[:LOOK]
    if boundaries.in_code(shown):
        return _REOPENED.match(start) is not None or _is_prose(start)
    if not boundaries.stops_midway(shown):
        return False
    block = boundaries.block_marker(start)
    if block and block == boundaries.block_marker(boundaries.last_line(shown).lstrip()):
        return False
    return block.startswith(_NEW_BLOCKS) or _has_capital(shown, start)


def _is_remark(text: str, words: str) -> bool:
    rest = text[len(words) : len(words) + 2]
    return text.startswith(words) and (
        rest[:1] in characters.AFTER_REMARK or rest in characters.SPACED_DASHES
    )


def _is_prose(start: str) -> bool:
    """Return True for a sentence in place of code: `You can use`, but not `Foo(` or `if x`."""
    word = characters.first_word(start)
    rest = start[len(word) :]
    opener = word[:1].isupper() and word.casefold() in characters.OPENERS
    return opener and rest[:1] == " " and rest[1:2].islower()


def _has_capital(shown: str, start: str) -> bool:
    """Return True for a leading capital that would be wrong in the middle of the sentence."""
    word = characters.first_word(start.lstrip(characters.OPENING_MARKS))
    if not word[:1].isupper():
        return False
    if word.casefold() in characters.OPENERS:
        return True
    shown = shown[-_SEEN:]
    return not (is_always_capitalised(word) or is_known_name(word, shown) or awaits_noun(shown))


def is_always_capitalised(word: str) -> bool:
    """Return True for words that always have a capital: `I`, `HTTP`, `TypeError`, `B2`."""
    return word == "I" or not word[1:].islower()


def is_known_name(word: str, shown: str) -> bool:
    """Return True if the shown text has the capitalised word inside a sentence."""
    return word in _INSIDE.findall(shown)


def awaits_noun(shown: str) -> bool:
    """Return True if the language capitalises nouns and one is likely to come next."""
    share, least = _NOUNS
    words = _INSIDE.findall(shown)
    if len(words) < least or sum(word[0].isupper() for word in words) < share * len(words):
        return False
    return characters.last_word(shown.rstrip()).casefold() in characters.BEFORE_NOUN


def lead_in(shown: str, second: str) -> int:
    """Return the number of characters before a repetition that don't belong to it.

    These are three dots, or the opening fence of a code block that is already open, unless the
    shown text begins with them too.
    """
    start = len(second) - len(second.lstrip())
    lead = _DOTS.match(second, start) or (
        boundaries.in_fence(shown) and _FENCE_LINE.match(second, start)
    )
    if not lead or common_prefix_length(shown.lstrip(), lead[0]) in (
        len(lead[0]),
        len(shown.strip()),
    ):
        return 0
    return lead.end()
