"""Whether words that end the shown text and begin the second answer prove that the two fit.

An *anchor* is the end of the shown text that the second answer begins with. Too short a one may be
there by chance: to drop it would swallow words, to keep it would double them.
"""

import re
from enum import Enum, auto
from typing import Final

from actors.splicing.boundaries import begins_line, begins_sentence
from actors.splicing.scripts import first_word, splits_word, weight, words_in
from actors.splicing.seam_words import OPENING_MARKS

_PROOF: Final = 3
"""Letters that whole words need to be an anchor: `a`, `is` and the like are everywhere."""
_WORDS: Final = (6, 2)
"""Letters and words that prove something wherever they stand in a sentence."""
_PARTS: Final = 3
"""Parts between spaces that are enough however short they are, as in `+ 9 =`."""
_LONG: Final = 8
"""Characters that need not begin with a word: nothing as long is there by chance."""
_FRAGMENT: Final = 5
"""Letters from which on the beginning of a word is hardly another whole word as well."""
_OPENING: Final = (40, 5)
"""Letters and words that prove something where the anchor begins a sentence: any answer may open
with `The old`."""
_OPENING_LIKELY: Final = (6, 2)
"""Letters and words that are more likely a repetition than another answer's opening."""
_BY_CHANCE: Final = 3
"""Letters that the end of one word and the beginning of another may share."""
_MARKUP: Final = frozenset("*_`~#|>-=+")
_ITEM: Final = re.compile(r"(?!1[.)])\d{1,3}[.)]\s")


class Anchor(Enum):
    """What an anchor proves."""

    PROOF = auto()
    LIKELY = auto()
    """It is a repetition, unless another answer happens to begin like this."""
    UNCLEAR = auto()
    """It may be a repetition, and it may not."""
    CHANCE = auto()
    """It is none: both happen to have a letter or a mark in common."""


def judge(before: str, anchor: str, after: str) -> Anchor:
    """What `anchor` proves, between the text shown before it and the second answer after it."""
    if splits_word(before, anchor):
        return _judge_inside(anchor)
    if not (weight(anchor) or is_markup(anchor)):
        return Anchor.PROOF if is_long(anchor) else Anchor.CHANCE
    if opens_no_answer(anchor):
        return _judge_words(before, anchor, after, alone=Anchor.PROOF)
    if begins_sentence(before):
        return _judge_opening(before, anchor, after)
    return _judge_words(before, anchor, after, alone=Anchor.LIKELY)


def _judge_words(before: str, anchor: str, after: str, *, alone: Anchor) -> Anchor:
    """Whole words; `alone` is what one of them proves."""
    if is_long(anchor) or says(anchor, *_WORDS):
        return Anchor.PROOF
    proven = weight(anchor) >= _PROOF and not runs_on(before, anchor, after)
    return alone if proven else Anchor.UNCLEAR


def _judge_inside(anchor: str) -> Anchor:
    """It begins inside of a word: `study` behind `understudy`."""
    if is_long(anchor):
        return Anchor.PROOF
    more = weight(anchor) > _BY_CHANCE or len(anchor.split()) > 1
    return Anchor.UNCLEAR if more else Anchor.CHANCE


def _judge_opening(before: str, anchor: str, after: str) -> Anchor:
    if says(anchor, *_OPENING) or repeats_number(before, anchor + after):
        return Anchor.PROOF
    return Anchor.LIKELY if says(anchor, *_OPENING_LIKELY) else Anchor.UNCLEAR


def opens_no_answer(anchor: str) -> bool:
    """It begins with a small letter, so it is no opening that two answers happen to share."""
    return anchor.lstrip(OPENING_MARKS)[:1].islower()


def is_long(anchor: str) -> bool:
    """Long enough wherever it begins; a row of dashes or dots is as long as one likes."""
    if len(anchor.split()) >= _PARTS and weight(anchor):
        return True
    return len(anchor) >= _LONG and (weight(anchor) >= _LONG or len(set(anchor)) >= _PROOF)


def says(anchor: str, letters: int, words: int) -> bool:
    """Whether it is so many letters and words long."""
    return weight(anchor) >= letters and len(words_in(anchor)) >= words


def repeats_number(before: str, second: str) -> bool:
    """The item that was cut is begun again: no new answer begins with item 2."""
    return begins_line(before) and _ITEM.match(second) is not None


def runs_on(before: str, anchor: str, after: str) -> bool:
    """One word that goes on in the second answer: the cut may stand in it, or before it.

    `in the` and `theatre`. Inside of the word if it is long and was not a word till now.
    """
    if first_word(anchor) != anchor or not splits_word(anchor, after):
        return False
    return weight(anchor) < _FRAGMENT or anchor in words_in(before)


def is_markup(anchor: str) -> bool:
    """`-`, `**` and the like: the line's mark again, or the other half of a longer one."""
    return _MARKUP.issuperset(anchor)
