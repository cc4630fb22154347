"""Decides where a second answer goes on behind what was shown of the first: the seam.

The rules stand here in their order; those of words and language in `anchors`, `openings` and
`seam_space`. Whatever is not proven by a repetition may still be wrong, and where a sign of that
is seen, the answer is refused: two texts that do not fit are never joined in silence.
"""

from enum import StrEnum
from typing import Final

import msgspec
from msgspec import Struct

from actors.splicing.anchors import Anchor, judge, says
from actors.splicing.boundaries import in_code, stops_midway
from actors.splicing.folding import fold, length_of_units, without_last_marks
from actors.splicing.openings import LOOK, lead_in, opens_anew, remarks_first
from actors.splicing.repetition import WINDOW, InTail, Repetition
from actors.splicing.scripts import weight
from actors.splicing.seam_space import Unclear, missing

SLACK: Final = 1024
"""Characters that may be held beyond the length of what was shown."""
_SHARED: Final = 20
"""Letters that two answers to one question begin with by chance at most."""
_SHARED_MIDWAY: Final = 4
"""The same where the shown text stops midway: its own beginning is not to be expected there."""
_MISQUOTED: Final = (12, 3, 24)
"""Letters and words of what seem to be the last words, and units that they miss the end by."""
_JUDGED: Final = 256
"""Characters of a repetition that are judged by their words."""
_QUOTED: Final = 64
"""Letters from anywhere in the shown text that nobody writes a second time by chance."""


class Seam(StrEnum):
    """How the second answer was joined to what was shown."""

    PREFILL = "prefill"
    """The model continued the very message."""
    RESTARTED = "restarted"
    """It began again from the start, in the same words, which were dropped."""
    OVERLAP = "overlap"
    """It began with the last words shown, which were dropped."""
    APPENDED = "appended"
    """Nothing speaks against it, but that it fits is not proven: it repeated nothing, or so few
    words that another answer may begin with them; they were dropped."""


class DoesNotFit(Exception):
    """The second answer is not the rest of the first; the message says why in a few words."""


class Found(Struct, frozen=True):
    """A seam: what of the second answer is left out, and what is put in."""

    seam: Seam
    at: int = 0
    """Characters of the second answer that are left out."""
    left: str = ""
    """What the last of these holds beyond the shown text: the accent on its last letter, say."""
    marks: str = ""
    """Marks on the last letter shown, which are not to be doubled."""
    gap: str = ""
    """White space that is missing between the two."""


class Offer:
    """A second answer while its seam is not decided."""

    __slots__ = ("_bare", "_base", "_held", "_lead", "_marks", "_room", "_said", "_seen", "_shown")

    def __init__(self, shown: str, bare: str) -> None:
        self._shown = shown
        self._bare = bare
        self._base, self._marks = without_last_marks(bare)
        self._held: list[str] = []
        self._room = len(shown) + SLACK
        self._seen = 0
        self._lead = 0
        self._said: Repetition | None = None

    @property
    def second(self) -> str:
        """What is held of the second answer."""
        return "".join(self._held)

    @property
    def settled(self) -> bool:
        """Nothing that is still to come can change the seam."""
        return self._said is not None and not self._said.open

    def feed(self, text: str) -> str:
        """Hold as much of it as there is room for; the rest is returned."""
        taken, over = text[: self._room], text[self._room :]
        self._room -= len(taken)
        self._held.append(taken)
        self._seen += len(taken if self._seen else taken.lstrip())
        if self._said is not None:
            self._said.feed(taken)
        elif self._seen >= LOOK:
            self._said = self._compare()
        return over

    def _compare(self) -> Repetition:
        second = self.second
        self._lead = lead_in(self._shown, second)
        said = Repetition(self._base)
        said.feed(second[self._lead :])
        return said

    def judge(self, *, ended: bool) -> Found:
        """The seam, from what is held; `ended` if that is all there is. Raises `DoesNotFit`."""
        said = self._said or self._compare()
        if ended:
            said.stop()
        second = self.second
        if not second or second.isspace():
            return self._nothing_said(ended)
        if not self._bare:
            return Found(Seam.APPENDED)
        if second.startswith(self._bare):
            return Found(Seam.RESTARTED, len(self._bare))
        if said.start.covered:
            return self._behind(Seam.RESTARTED, second, said.start.alike)
        return self._overlap(said, second) or self._append(said, second, ended)

    def _nothing_said(self, ended: bool) -> Found:
        if not ended:
            raise DoesNotFit("it begins with nothing but white space")
        if stops_midway(self._shown) or in_code(self._shown):
            raise DoesNotFit("it is empty, and the answer stops midway")
        return Found(Seam.APPENDED)

    def _behind(self, seam: Seam, second: str, units: int) -> Found:
        size, left = length_of_units(second[self._lead :], units)
        return Found(seam, self._lead + size, left, self._marks)

    def _overlap(self, said: Repetition, second: str) -> Found | None:
        if not (units := said.end.longest_overlap()):
            return None
        found = self._behind(Seam.OVERLAP, second, units)
        end = self._base[-2 * WINDOW :]
        start = len(end) - length_of_units(end[::-1], units)[0]
        match judge(end[:start], end[start:][:_JUDGED], second[found.at :][:LOOK]):
            case Anchor.CHANCE:
                return None
            case Anchor.UNCLEAR:
                raise DoesNotFit("it begins with so few of the last words that they prove nothing")
            case _ if said.start.alike >= units:
                raise DoesNotFit("its first words are the last words, and the first ones as well")
            case Anchor.LIKELY:
                return msgspec.structs.replace(found, seam=Seam.APPENDED)
            case Anchor.PROOF:
                return found

    def _append(self, said: Repetition, second: str, ended: bool) -> Found:
        """Where nothing is repeated. Raises `DoesNotFit` at any sign that it is not the rest."""
        self._check_start(said, second, ended)
        _check_quotes(said.end)
        if len(self._shown) > WINDOW and second.strip()[:LOOK] in self._shown:
            raise DoesNotFit("it goes back to the middle of the answer")
        if remarks_first(second):
            raise DoesNotFit("it begins with a remark")
        if opens_anew(self._shown, second):
            raise DoesNotFit("it begins like a new answer, and the shown one stops midway")
        try:
            return Found(Seam.APPENDED, gap=missing(self._shown, second[:LOOK]))
        except Unclear as reason:
            raise DoesNotFit(str(reason)) from None

    def _check_start(self, said: Repetition, second: str, ended: bool) -> None:
        shared = weight(fold(second[self._lead :][: 4 * LOOK])[: said.start.alike])
        if ended and said.start.open and shared:
            raise DoesNotFit("it begins again and ends before what was shown")
        if shared >= (_SHARED_MIDWAY if stops_midway(self._shown) else _SHARED):
            raise DoesNotFit("it begins again in other words")


def _check_quotes(end: InTail) -> None:
    """Refuse a second answer that repeats what is near the end, and not the end."""
    units = end.longest_quote()
    missed = len(end.tail) - end.tail.rfind(end.said[:units]) - units
    quote = end.said[: min(units, _JUDGED)]
    letters, words, near = _MISQUOTED
    if weight(quote) >= _QUOTED or (missed <= near and says(quote, letters, words)):
        raise DoesNotFit("it repeats something shown, and goes on in other words")
