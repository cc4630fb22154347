"""White space at the seam: removes repeated and adds missing white space.

Both occur because the second model got the shown text without trailing white space, and most models
begin a message without leading white space.
"""

from typing import Final
from unicodedata import normalize

from actors.continuation.splicing import boundaries, characters
from actors.continuation.splicing.normalise import is_mark
from actors.continuation.splicing.repetition import overlap

_SEEN: Final = 4000
"""Characters at the end of the shown text that are searched for a word."""
_LONGEST: Final = 1024
"""Maximum number of white space characters that are searched for an overlap of two runs."""


class DoesNotFit(Exception):
    """The second answer doesn't continue the first; the message gives the reason."""


def drop_shared_space(shown: str, run: str) -> str:
    """Return the part of the white space `run` to show after the white space `shown`.

    A single space after other white space is dropped even if it isn't a repetition; a line break
    or an indentation is kept.
    """
    if not shown:
        return run
    if run.startswith(shown):
        return run[len(shown) :]
    if shared := overlap(shown[-_LONGEST:], run[:_LONGEST]):
        return run[shared:]
    return "" if len(run) == 1 and run != "\n" else run


def missing_space(shown: str, second: str) -> str:
    """Return the white space to insert between two texts without any.

    Raises `DoesNotFit` if it is unknown, because a wrong guess would change the meaning.
    """
    if not shown or not second or shown[-1].isspace() or second[0].isspace():
        return ""
    line = boundaries.last_line(shown)
    if begins_block(line, second) or boundaries.ends_fence(shown):
        return "\n"
    if boundaries.is_marker(line) and is_between(line, second):
        return " "
    if boundaries.in_code(shown):
        return _in_code(shown[-1], second[0])
    if characters.splits_word(shown, second):
        return _between_words(shown[-_SEEN:], second)
    return " " if _is_apart(shown[-_SEEN:], second) else ""


def begins_block(line: str, second: str) -> bool:
    """Return True for a fence, or the next item of the line's list, quotation or table."""
    block = boundaries.block_marker(second)
    return block == "```" or bool(block and block == boundaries.block_marker(line.lstrip()))


def is_between(line: str, second: str) -> bool:
    """Return True if the cut is not inside a mark such as `**` or `##`."""
    return second[0] != line[-1] and (line[-1] not in "*_" or line.strip() == line[-1])


def _in_code(last: str, first: str) -> str:
    """Return no white space where a line of code can't have ended, as after an open bracket.

    Elsewhere a line break and its indentation may be lost, so it raises `DoesNotFit`.
    """
    if last in characters.OPEN_IN_CODE or first in characters.GOING_ON_IN_CODE:
        return ""
    raise DoesNotFit("a line of code may have ended at the cut")


def _between_words(shown: str, second: str) -> str:
    """Return a space between two words, or '' if the shown text already has the joined word.

    Most cuts are between words. Two numbers are joined only by a space in a row of numbers; else
    a number may have been cut, which raises `DoesNotFit`.
    """
    before, after = characters.last_word(shown), characters.first_word(second)
    if (
        characters.is_unspaced(shown[-1])
        or characters.is_unspaced(second[0])
        or not after[0].isalnum()
    ):
        return ""
    if shown[-1].isdigit() and second[0].isdigit():
        if numbers_in_row(shown, second):
            return " "
        raise DoesNotFit("a number may have been cut")
    return "" if before + after in characters.words_in(shown) else " "


def numbers_in_row(shown: str, second: str) -> bool:
    """Return True if either side of the seam has two numbers separated only by a space."""
    before = shown.split()[-2:]
    after = second.split()[:2]
    return (len(before) == 2 and all(map(str.isdigit, before))) or (
        len(after) == 2 and all(map(str.isdigit, after))
    )


def _is_apart(shown: str, second: str) -> bool:
    """Return True if a space belongs after the punctuation mark that the shown text ends with."""
    if not (second[0].isalpha() and not characters.is_wide(second[0])):
        return False
    mark = shown[-1]
    if mark in characters.SPACED_MARKS:
        return not is_address(shown)
    if mark in characters.SPACED_CLOSERS:
        return True
    return mark in '"*_`' and closes(shown)


def is_address(shown: str) -> bool:
    """Return True if the last word may continue without a space: `https:`, `www.`, `a_b.`."""
    last = shown.split()[-1]
    return (
        last.startswith(("www.", "http"))
        or not characters.is_word_char(last[-2:-1] or " ")
        or any(mark in last for mark in "/_=(@\\")
    )


def closes(shown: str) -> bool:
    """Return True if the quotation or emphasis mark at the end closes a pair: text precedes it."""
    bare = shown.rstrip(shown[-1])
    return bool(bare) and not bare[-1].isspace() and bare[-1] not in "([{"


class SeamFilter:
    """A filter for the first characters after the seam.

    It drops combining marks (`marks`) and white space (`white`) that were already shown. `closed`
    is true if white space was shown after the letter that the marks belong to; a further mark
    could no longer reach that letter.
    """

    __slots__ = ("_closed", "_marks", "_run", "_size", "_white", "done")

    def __init__(self, marks: str, white: str, *, closed: bool = False) -> None:
        self._marks = list(marks)
        self._closed = closed
        self._white = white
        self._run: list[str] = []
        self._size = 0
        self.done = not (marks or white)
        """True once all further text passes unchanged."""

    def feed(self, text: str) -> str:
        """Return the text to show now; white space is held until it can be compared."""
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
        """Return the held white space at the end of the answer."""
        self.done = True
        run = "".join(self._run)
        self._run.clear()
        return drop_shared_space(self._white, run)

    def _new_marks(self, text: str) -> tuple[str, str]:
        """Split off the text's leading marks, without those that were already shown."""
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
