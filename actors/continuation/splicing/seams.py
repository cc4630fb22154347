"""Seam search: decides where a second answer continues the shown text, or refuses it.

The rules are applied in the order of `SeamSearch.judge`; those about words and language are in
`anchors`, `fresh_start` and `whitespace`. Only a repetition proves that two texts fit. Without one,
any sign against the seam is enough to refuse the answer, so that texts that don't fit are never
joined silently.
"""

from enum import StrEnum
from typing import Final

import msgspec
from msgspec import Struct

from actors.continuation.splicing.anchors import Anchor, has_at_least, judge
from actors.continuation.splicing.boundaries import in_code, stops_midway
from actors.continuation.splicing.characters import weight
from actors.continuation.splicing.fresh_start import LOOK, begins_with_remark, lead_in, starts_over
from actors.continuation.splicing.normalise import fold, length_of_units, split_trailing_marks
from actors.continuation.splicing.repetition import WINDOW, Repetition, TailMatch
from actors.continuation.splicing.whitespace import DoesNotFit, missing_space

SLACK: Final = 1024
"""Characters of the second answer that may be held beyond the length of the shown text."""
_SHARED: Final = 20
"""Minimum letters of a common beginning of both texts that is not a coincidence."""
_SHARED_MIDWAY: Final = 4
"""Replaces `_SHARED` if the shown text stops inside a sentence: a continuation of the sentence is
unlikely to begin like the shown text."""
_MISQUOTED: Final = (12, 3, 24)
"""Minimum letters and words of a misplaced quote, and its maximum distance from the end."""
_JUDGED: Final = 256
"""Characters of a repetition whose words are rated."""
_QUOTED: Final = 64
"""Minimum letters of a quote from anywhere in the shown text that is not a coincidence."""


class Seam(StrEnum):
    """Way in which the second answer was joined to the shown text."""

    PREFILL = "prefill"
    """The model continued the message that it was given as a prefill."""
    RESTARTED = "restarted"
    """The answer repeated all of the shown text, which was dropped."""
    OVERLAP = "overlap"
    """The answer began with the last words shown, which were dropped."""
    APPENDED = "appended"
    """The seam is not proven, but nothing speaks against it: the answer repeated nothing, or too
    few words to prove it, which were dropped."""


class FoundSeam(Struct, frozen=True):
    """A seam: the characters to drop from the second answer and the white space to insert."""

    seam: Seam
    at: int = 0
    """Number of characters to drop at the beginning of the second answer."""
    left: str = ""
    """Part of the last dropped character that was not shown, such as an accent."""
    marks: str = ""
    """Combining marks on the last letter shown, which must not be doubled."""
    gap: str = ""
    """White space to insert between the two texts."""


class SeamSearch:
    """A second answer that is held until its seam is decided.

    `shown` is the text of the first answer, `bare` the same without trailing white space.
    """

    def __init__(self, shown: str, bare: str) -> None:
        self._shown = shown
        self._bare = bare
        self._base, self._marks = split_trailing_marks(bare)
        self._held: list[str] = []
        self._room = len(shown) + SLACK
        self._seen = 0
        self._lead = 0
        self._repetition: Repetition | None = None

    @property
    def second(self) -> str:
        """The held text of the second answer."""
        return "".join(self._held)

    @property
    def settled(self) -> bool:
        """True if text still to come can't change the seam."""
        return self._repetition is not None and not self._repetition.open

    def feed(self, text: str) -> str:
        """Hold as much of the text as fits and return the rest."""
        taken, over = text[: self._room], text[self._room :]
        self._room -= len(taken)
        self._held.append(taken)
        self._seen += len(taken if self._seen else taken.lstrip())
        if self._repetition is not None:
            self._repetition.feed(taken)
        elif self._seen >= LOOK:
            # Not sooner: the length of the lead-in is known only from these characters.
            self._repetition = self._compare()
        return over

    def _compare(self) -> Repetition:
        second = self.second
        self._lead = lead_in(self._shown, second)
        repetition = Repetition(self._base)
        repetition.feed(second[self._lead :])
        return repetition

    def judge(self, *, ended: bool) -> FoundSeam:
        """Decide the seam from the held text; raises `DoesNotFit`.

        `ended` means that the held text is the whole second answer.
        """
        repetition = self._repetition or self._compare()
        if ended:
            repetition.stop()
        second = self.second
        if not second or second.isspace():
            return self._blank(ended)
        if not self._bare:
            return FoundSeam(Seam.APPENDED)
        if second.startswith(self._bare):
            return FoundSeam(Seam.RESTARTED, len(self._bare))
        if repetition.start.covered:
            return self._after(Seam.RESTARTED, second, repetition.start.matched)
        return self._overlap(repetition, second) or self._append(repetition, second, ended)

    def _blank(self, ended: bool) -> FoundSeam:
        if not ended:
            raise DoesNotFit("it begins with nothing but white space")
        if stops_midway(self._shown) or in_code(self._shown):
            raise DoesNotFit("it is empty, and the shown text stops midway")
        return FoundSeam(Seam.APPENDED)

    def _after(self, seam: Seam, second: str, units: int) -> FoundSeam:
        """Return the seam after the first `units` units that follow the lead-in."""
        size, left = length_of_units(second[self._lead :], units)
        return FoundSeam(seam, self._lead + size, left, self._marks)

    def _overlap(self, repetition: Repetition, second: str) -> FoundSeam | None:
        if not (units := repetition.end.longest_overlap()):
            return None
        found = self._after(Seam.OVERLAP, second, units)
        end = self._base[-2 * WINDOW :]
        start = len(end) - length_of_units(end[::-1], units)[0]
        match judge(end[:start], end[start:][:_JUDGED], second[found.at :][:LOOK]):
            case Anchor.CHANCE:
                return None
            case Anchor.UNCLEAR:
                raise DoesNotFit("it repeats too few of the last words to prove that it continues")
            case _ if repetition.start.matched >= units:
                raise DoesNotFit("it repeats words that are both the first and the last ones shown")
            case Anchor.LIKELY:
                return msgspec.structs.replace(found, seam=Seam.APPENDED)
            case Anchor.PROOF:
                return found

    def _append(self, repetition: Repetition, second: str, ended: bool) -> FoundSeam:
        """Return the seam of an answer that repeats nothing.

        Raises `DoesNotFit` at any sign that it isn't the continuation.
        """
        self._check_start(repetition, second, ended)
        _check_quotes(repetition.end)
        if len(self._shown) > WINDOW and second.strip()[:LOOK] in self._shown:
            raise DoesNotFit("it repeats the middle of the shown text")
        if begins_with_remark(second):
            raise DoesNotFit("it begins with a remark")
        if starts_over(self._shown, second):
            raise DoesNotFit("it begins like a new answer, and the shown text stops midway")
        return FoundSeam(Seam.APPENDED, gap=missing_space(self._shown, second[:LOOK]))

    def _check_start(self, repetition: Repetition, second: str, ended: bool) -> None:
        start = repetition.start
        shared = weight(fold(second[self._lead :][: 4 * LOOK])[: start.matched])
        if ended and start.open and shared:
            raise DoesNotFit("it repeats the beginning and ends before the shown text does")
        if shared >= (_SHARED_MIDWAY if stops_midway(self._shown) else _SHARED):
            raise DoesNotFit("it repeats the beginning and continues in other words")


def _check_quotes(end: TailMatch) -> None:
    """Refuse a second answer that repeats text near the end, but not the end itself."""
    units = end.longest_quote()
    missed = len(end.tail) - end.tail.rfind(end.received[:units]) - units
    quote = end.received[: min(units, _JUDGED)]
    letters, words, near = _MISQUOTED
    if weight(quote) >= _QUOTED or (missed <= near and has_at_least(quote, letters, words)):
        raise DoesNotFit("it repeats shown text and continues in other words")
