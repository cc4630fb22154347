"""Text of simulated answers, generated from a seed and a length.

A *piece* is the token of a simulated model: a word or a single punctuation mark, together with the
white space before it.
"""

import random
import re
from itertools import count, cycle, islice
from typing import Final

_PIECE: Final = re.compile(r"\s*\w+|\s*[^\w\s]|\s+")


def pieces(text: str) -> list[str]:
    """Split the text into pieces, which joined give the text again."""
    return _PIECE.findall(text)


def count_pieces(text: str) -> int:
    """Return the number of pieces, without a list and without keeping the GIL for a long text."""
    return sum(1 for _ in _PIECE.finditer(text))


def _phrases(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(pieces(f" {phrase}")) for phrase in text.split(", "))


_WHO = _phrases(
    "The understudy, A stagehand, The lighting crew, Our prompter, The whole company, An old "
    "trouper, The conductor, Every dancer, The wardrobe master, A late arrival, The second "
    "violin, The audience"
)
_DOES = _phrases(
    "waits behind, remembers, quietly rebuilds, counts the beats of, carries, keeps an eye on, "
    "has rehearsed, never forgets, follows, improvises around, trusts, steps into"
)
_WHAT = _phrases(
    "the velvet curtain, a difficult scene, the opening song, a borrowed lantern, the missing "
    "line, the turning stage, every quiet entrance, the painted harbour, a broken spotlight, the "
    "final act, the long dialogue, an empty chair"
)
_HOW = _phrases(
    "until the music returns, while the rain falls outside, before the first bell, without losing "
    "a word, as if nothing had happened, with a steady hand, long after midnight, because the "
    "show goes on, and nobody notices, night after night"
)
_CURTAIN = " Curtain"
_SENTENCES_PER_PARAGRAPH = 5

_SCRIPTS = (
    "Naïve café, jalapeño: déjà vu.",
    " Приглушённый свет гаснет.",
    " 幕が上がると、静寂。",
    " 舞台上的灯亮了。",
    " يرتفع الستار ببطء.",
    " परदा उठता है।",
    " e\u0301 a\u030a o\u0308 combine.",
    " 👩🏽‍🚀 🏳️‍🌈 👨‍👩‍👧‍👦 🇨🇭!",
    " \U00010348\U0001d11e beyond the first plane.",
    ' "quoted" \\ back\\slash / \u2028 \u00a0 \u200b.',
)


def prose(seed: int, length: int) -> list[str]:
    """Return English sentences of exactly `length` pieces."""
    rng = random.Random(seed)  # noqa: S311 - answers must be reproducible
    found: list[str] = []
    for number in count():
        if len(found) >= length:
            break
        found += _sentence(rng, number)
    return _closed(found[:length])


def counting(length: int) -> list[str]:
    """Return `1 2 3 …` with exactly `length` pieces."""
    return [f" {number}" if number > 1 else "1" for number in range(1, length + 1)]


def many_scripts(seed: int, length: int) -> list[str]:
    """Return text in many scripts with exactly `length` pieces; the seed picks the first script."""
    start = seed % len(_SCRIPTS)
    text = "".join(_SCRIPTS[start:] + _SCRIPTS[:start])
    return list(islice(cycle(pieces(text)), length))


def _sentence(rng: random.Random, number: int) -> list[str]:
    who, does, what, how = (
        phrases[int(rng.random() * len(phrases))] for phrases in (_WHO, _DOES, _WHAT, _HOW)
    )
    return [_gap(number) + who[0].lstrip(), *who[1:], *does, *what, *how, "."]


def _gap(number: int) -> str:
    if number == 0:
        return ""
    return "\n\n" if number % _SENTENCES_PER_PARAGRAPH == 0 else " "


def _closed(found: list[str]) -> list[str]:
    # Text cut to its length must still end like a sentence.
    if len(found) > 1 and found[-1] != ".":
        found[-1] = _CURTAIN if found[-2] == "." else "."
    return found
