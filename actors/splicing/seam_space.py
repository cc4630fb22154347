"""The white space at a seam: none twice, and none missing where two words would become one.

The second model was given the shown text without the white space at its end, and most begin a
message without any.
"""

from typing import Final
from unicodedata import normalize

from actors.splicing.boundaries import block_of, ends_fence, in_code, is_marker, last_line
from actors.splicing.folding import is_mark
from actors.splicing.repetition import overlap
from actors.splicing.scripts import (
    first_word,
    is_of_word,
    is_unspaced,
    is_wide,
    last_word,
    splits_word,
    words_in,
)
from actors.splicing.seam_words import GOING_ON_IN_CODE, OPEN_IN_CODE, SPACED_CLOSERS, SPACED_MARKS

_SEEN: Final = 4000
"""Characters at the end of the shown text in which a word is looked for."""
_LONGEST: Final = 1024
"""White space that is compared for what two runs share, where they are not simply alike."""


class Unclear(Exception):
    """What belongs between the two texts cannot be told, and would change what they say."""


def unshared(shown: str, run: str) -> str:
    """What may be shown of the white space `run` behind the white space `shown` already.

    A single space that is no repetition is one too many; a line break or an indentation is not.
    """
    if not shown:
        return run
    if run.startswith(shown):
        return run[len(shown) :]
    if shared := overlap(shown[-_LONGEST:], run[:_LONGEST]):
        return run[shared:]
    return "" if len(run) == 1 and run != "\n" else run


def missing(shown: str, second: str) -> str:
    """The white space to put between two texts that have none; raises `Unclear`."""
    if not shown or not second or shown[-1].isspace() or second[0].isspace():
        return ""
    line = last_line(shown)
    if begins_block(line, second) or ends_fence(shown):
        return "\n"
    if is_marker(line) and is_between(line, second):
        return " "
    if in_code(shown):
        return _in_code(shown[-1], second[0])
    if splits_word(shown, second):
        return _between_words(shown[-_SEEN:], second)
    return " " if _is_apart(shown[-_SEEN:], second) else ""


def begins_block(line: str, second: str) -> bool:
    """A fence, or the next item of the list, quotation or table that the line belongs to."""
    block = block_of(second)
    return block == "```" or bool(block and block == block_of(line.lstrip()))


def is_between(line: str, second: str) -> bool:
    """The cut is not inside a mark: `**`, `##`."""
    return second[0] != line[-1] and (line[-1] not in "*_" or line.strip() == line[-1])


def _in_code(last: str, first: str) -> str:
    """A line of code may have ended, and its indentation is lost; not at an open bracket, say."""
    if last in OPEN_IN_CODE or first in GOING_ON_IN_CODE:
        return ""
    raise Unclear("a line of code may have ended at the cut")


def _between_words(shown: str, second: str) -> str:
    """Most cuts stand between words; inside of one if the word it makes is known."""
    before, after = last_word(shown), first_word(second)
    if is_unspaced(shown[-1]) or is_unspaced(second[0]) or not after[0].isalnum():
        return ""
    if shown[-1].isdigit() and second[0].isdigit():
        if numbers_in_row(shown, second):
            return " "
        raise Unclear("a number may have been cut")
    return "" if before + after in words_in(shown) else " "


def numbers_in_row(shown: str, second: str) -> bool:
    """Numbers stand with nothing but a space between them on one side of the seam or the other."""
    before = shown.split()[-2:]
    after = second.split()[:2]
    return (len(before) == 2 and all(map(str.isdigit, before))) or (
        len(after) == 2 and all(map(str.isdigit, after))
    )


def _is_apart(shown: str, second: str) -> bool:
    """A space belongs behind the mark that the shown text ends with."""
    if not (second[0].isalpha() and not is_wide(second[0])):
        return False
    mark = shown[-1]
    if mark in SPACED_MARKS:
        return not is_address(shown)
    if mark in SPACED_CLOSERS:
        return True
    return mark in '"*_`' and closes(shown)


def is_address(shown: str) -> bool:
    """The last word has a mark inside or is no word: `www.`, `https:`, `self.x.`, `3.`."""
    last = shown.split()[-1]
    return (
        last.startswith(("www.", "http"))
        or not is_of_word(last[-2:-1] or " ")
        or any(mark in last for mark in "/_=(@\\")
    )


def closes(shown: str) -> bool:
    """A quotation mark or emphasis at the end is the second of its pair: text stands before it."""
    bare = shown.rstrip(shown[-1])
    return bool(bare) and not bare[-1].isspace() and bare[-1] not in "([{"


class Joint:
    """The first characters behind the seam: marks and white space shown already are left out.

    `closed` if white space was shown behind the letter that the marks at the seam belong to.
    """

    __slots__ = ("_closed", "_marks", "_run", "_size", "_white", "done")

    def __init__(self, marks: str, white: str, *, closed: bool = False) -> None:
        self._marks = list(marks)
        self._closed = closed
        self._white = white
        self._run: list[str] = []
        self._size = 0
        self.done = not (marks or white)
        """All that comes passes unchanged."""

    def feed(self, text: str) -> str:
        """What of it may be shown now; white space waits until it can be compared."""
        if self.done:
            return text
        marks, text = self._new_marks(text)
        rest = text.lstrip()
        self._run.append(text[: len(text) - len(rest)])
        self._size += len(text) - len(rest)
        if self._marks or self._closed or not (rest or self._size > max(1, len(self._white))):
            return marks
        return marks + self.end() + rest

    def end(self) -> str:
        """Nothing more comes: what was waiting."""
        self.done = True
        run = "".join(self._run)
        self._run.clear()
        return unshared(self._white, run)

    def _new_marks(self, text: str) -> tuple[str, str]:
        """The marks that the text begins with and that are not shown yet; and the rest."""
        kept, at = [], 0
        while (self._marks or self._closed) and at < len(text):
            if not is_mark(text[at]):
                self._marks, self._closed = [], False
                break
            if not (self._closed or self._is_shown(normalize("NFD", text[at]))):
                kept.append(text[at])
            at += 1
        return "".join(kept), text[at:]

    def _is_shown(self, mark: str) -> bool:
        if any(self._marks.count(char) < mark.count(char) for char in mark):
            return False
        for char in mark:
            self._marks.remove(char)
        return True
