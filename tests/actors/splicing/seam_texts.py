"""Texts to cut: made up by hypothesis, and passages written by hand in many languages.

A passage has three answers to one question: the one that is cut, another model's, and one that
begins like the first and goes on in other words. `known` ones were there when the rules were
written, `set_aside` ones were looked at once, and `unseen` ones were written when the rules stood.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from hypothesis import strategies as st

from actors.splicing.splice import DoesNotFit, Seam, Splicer

FOLDER = Path(__file__).parent / "passages"

LATIN = ["tide", "velvet", "Bremen", "Straße", "naïve", "cafe\u0301", "chạ\u0300o", "\u0344"]
OTHERS = ["лодка", "Ещё", "θάλασσα", "海", "幕が上がる", "서울", "القمر", "परदा", "ไทย", "\u200b"]
CODE = ["x", "=", "f(1)", "return", "self._rows[0]", "```", "**", "-", "#", "1.", "42", "3.14"]
MARKS = ["...", "…", ",", ".", "!", "?", ":", ";", "(", ")", "{", "}", '"', "'"]
CLUSTERS = [
    "👩🏽\u200d🚀",
    "🏳️\u200d🌈",
    "🇨🇭",
    "e\u0301\u0323",
    "e\u0323\u0301",
    "a\u030a",
    "\u1ec7",
]
WORDS = [*LATIN, *OTHERS, *CODE, *MARKS, *CLUSTERS]
SPACES = [" ", " ", " ", "", "\n", "\n\n", "\t", "  ", "\r\n", "\u00a0", "\u2028"]

texts = st.lists(
    st.tuples(st.sampled_from(WORDS) | st.text(max_size=4), st.sampled_from(SPACES)), max_size=40
).map(lambda parts: "".join(word + space for word, space in parts))
"""Words, marks and white space of many scripts, in any order."""
sizes = st.lists(st.integers(1, 40), min_size=1, max_size=20)
"""Lengths of the pieces that an answer comes in, over and over."""

Outcome = tuple[Seam | None, str]


def in_pieces(text: str, lengths: list[int]) -> Iterator[str]:
    at, turn = 0, 0
    while at < len(text):
        size = lengths[turn % len(lengths)]
        yield text[at : at + size]
        at, turn = at + size, turn + 1


def splice(shown: str, second: str, lengths: list[int], *, prefill: bool = False) -> Outcome:
    """The seam and all that was shown of the second answer; raises `DoesNotFit`.

    Nothing may be shown before the seam is decided.
    """
    splicer = Splicer(shown, prefill=prefill)
    shown_now = []
    for piece in in_pieces(second, lengths):
        shown_now.append(splicer.feed(piece))
        assert splicer.seam is not None or shown_now[-1] == ""
    shown_now.append(splicer.end())
    assert splicer.seam is not None
    return splicer.seam, "".join(shown_now)


def attempt(shown: str, second: str, lengths: list[int]) -> Outcome:
    """As `splice`; None for a seam where the two do not fit, with the reason."""
    try:
        return splice(shown, second, lengths)
    except DoesNotFit as misfit:
        return None, str(misfit)


def passages(kind: str) -> Iterator[tuple[str, str, str, str]]:
    """Name and the three answers of each passage."""
    for path in sorted((FOLDER / kind).glob("*.txt")):
        first, other, reworded = path.read_text("utf-8").split("\n=====\n")
        yield path.stem, first, other, reworded.removesuffix("\n")


def cuts(text: str) -> list[int]:
    """Where a token may end: behind a word or a mark."""
    return [match.end() for match in re.finditer(r"\s*(?:\w+|[^\w\s])", text)][:-1]


def last_words(shown: str, count: int) -> str:
    """The last so many words of a text, with the white space between them."""
    words = list(re.finditer(r"\S+", shown))
    return shown[words[-count].start() : words[-1].end()] if len(words) > count else shown.strip()


def without_space(text: str) -> str:
    return "".join(text.split())
