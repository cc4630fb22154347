"""Anchor rating: decides if repeated words prove that a second answer continues the shown text.

An *anchor* is the end of the shown text that the second answer begins with. A short one may be a
coincidence: dropping it would lose words, keeping it would double them.
"""

import re
from enum import Enum, auto
from typing import Final

from actors.continuation.splicing import characters
from actors.continuation.splicing.boundaries import begins_line, begins_sentence

_PROOF: Final = 3
"""Minimum letters of whole words; `a`, `is` and the like are too common."""
_WORDS: Final = (6, 2)
"""Minimum letters and words that prove a repetition inside a sentence."""
_PARTS: Final = 3
"""Number of space-separated parts that is enough, however short they are, as in `+ 9 =`."""
_LONG: Final = 8
"""Minimum characters of an anchor that may begin inside a word; no coincidence is as long."""
_FRAGMENT: Final = 5
"""Minimum letters of a word's beginning that is unlikely to be a whole word too."""
_OPENING: Final = (40, 5)
"""Minimum letters and words of proof at the start of a sentence; any answer may open with
`The old`."""
_OPENING_LIKELY: Final = (6, 2)
"""Minimum letters and words that are more likely a repetition than another answer's opening."""
_BY_CHANCE: Final = 3
"""Maximum letters that the end of one word and the beginning of another share by chance."""
_MARKUP: Final = frozenset("*_`~#|>-=+")
_ITEM: Final = re.compile(r"(?!1[.)])\d{1,3}[.)]\s")


class Anchor(Enum):
    """Strength of an anchor as evidence."""

    PROOF = auto()
    """A repetition."""
    LIKELY = auto()
    """A repetition, unless another answer happens to begin like this."""
    UNCLEAR = auto()
    """Either a repetition or a coincidence."""
    CHANCE = auto()
    """A coincidence: both texts share a letter or a punctuation mark."""


def judge(before: str, anchor: str, after: str) -> Anchor:
    """Rate `anchor`, given the shown text before it and the second answer after it."""
    if characters.splits_word(before, anchor):
        return _judge_inside(anchor)
    if not (characters.weight(anchor) or is_markup(anchor)):
        return Anchor.PROOF if is_long(anchor) else Anchor.CHANCE
    if opens_no_answer(anchor):
        return _judge_words(before, anchor, after, alone=Anchor.PROOF)
    if begins_sentence(before):
        return _judge_opening(before, anchor, after)
    return _judge_words(before, anchor, after, alone=Anchor.LIKELY)


def _judge_words(before: str, anchor: str, after: str, *, alone: Anchor) -> Anchor:
    """Rate whole words; `alone` is the rating of a single word."""
    if is_long(anchor) or has_at_least(anchor, *_WORDS):
        return Anchor.PROOF
    proven = characters.weight(anchor) >= _PROOF and not continues_word(before, anchor, after)
    return alone if proven else Anchor.UNCLEAR


def _judge_inside(anchor: str) -> Anchor:
    """Rate an anchor that begins inside a word, such as `study` after `understudy`."""
    if is_long(anchor):
        return Anchor.PROOF
    more = characters.weight(anchor) > _BY_CHANCE or len(anchor.split()) > 1
    return Anchor.UNCLEAR if more else Anchor.CHANCE


def _judge_opening(before: str, anchor: str, after: str) -> Anchor:
    if has_at_least(anchor, *_OPENING) or repeats_number(before, anchor + after):
        return Anchor.PROOF
    return Anchor.LIKELY if has_at_least(anchor, *_OPENING_LIKELY) else Anchor.UNCLEAR


def opens_no_answer(anchor: str) -> bool:
    """Return True if the anchor begins with a lower-case letter, as no answer's opening does."""
    return anchor.lstrip(characters.OPENING_MARKS)[:1].islower()


def is_long(anchor: str) -> bool:
    """Return True if the anchor is proof wherever it begins.

    A row of equal marks, such as dashes, is never proof, since it can have any length.
    """
    if len(anchor.split()) >= _PARTS and characters.weight(anchor):
        return True
    return len(anchor) >= _LONG and (
        characters.weight(anchor) >= _LONG or len(set(anchor)) >= _PROOF
    )


def has_at_least(anchor: str, letters: int, words: int) -> bool:
    """Return True if the anchor has at least this many letters and words."""
    return characters.weight(anchor) >= letters and len(characters.words_in(anchor)) >= words


def repeats_number(before: str, second: str) -> bool:
    """Return True if the interrupted list item is repeated; no new answer begins with item 2."""
    return begins_line(before) and _ITEM.match(second) is not None


def continues_word(before: str, anchor: str, after: str) -> bool:
    """Return True if the anchor is one word that is longer in the second answer.

    An example is `in the` and `theatre`: the cut may be inside the word or before it. A long
    anchor that isn't a word of the shown text is taken to be cut inside, so it returns False.
    """
    if characters.first_word(anchor) != anchor or not characters.splits_word(anchor, after):
        return False
    return characters.weight(anchor) < _FRAGMENT or anchor in characters.words_in(before)


def is_markup(anchor: str) -> bool:
    """Return True for `-`, `**` and the like: a repeated line mark, or half of a longer mark."""
    return _MARKUP.issuperset(anchor)
