"""Where a text stands when it stops: in a word, a sentence, a line, a block of code.

Only the end of the text is looked at, except for code fences, which are counted.
"""

import re
from typing import Final

from actors.splicing.scripts import is_of_word
from actors.splicing.seam_words import CLOSERS, MIDWAY, STOPS

_MARKER: Final = re.compile(
    r"\s{0,12}(?:([-*+•](?=\s|$)|[|>])|(#{1,6})(?=\s|$)|\d{1,3}([.)])(?=\s|$))"
)
_FENCE: Final = "```"
_LINE: Final = 4096


def ends_line(text: str) -> bool:
    """The text ends with a line break."""
    return "\n" in text[len(text.rstrip()) :]


def begins_line(before: str) -> bool:
    """What follows this text begins a line."""
    return not before or ends_line(before)


def stops_midway(text: str) -> bool:
    """The text stops in the middle of a sentence: at a word, a comma, a dash or an open bracket.

    Not at a line's end, behind the mark of an item or an opening quotation mark, where any word
    may follow with or without a capital.
    """
    line = last_line(text)
    if begins_line(text) or is_marker(line) or ends_fence(text):
        return False
    last = line.rstrip().rstrip(CLOSERS)[-1:]
    return bool(last) and (is_of_word(last) or last in MIDWAY)


def begins_sentence(before: str) -> bool:
    """What follows this text begins a sentence, an item or a line."""
    bare = before.rstrip().rstrip(CLOSERS)
    return begins_line(before) or not bare or bare[-1] in STOPS or is_marker(last_line(before))


def in_fence(text: str) -> bool:
    """A fenced block of code is open at the end of the text."""
    return (text.startswith(_FENCE) + text.count("\n" + _FENCE)) % 2 == 1


def ends_fence(text: str) -> bool:
    """The text stops behind a block of code."""
    return last_line(text).startswith(_FENCE) and not in_fence(text)


def in_code(text: str) -> bool:
    """A fenced block, or code in a line, is open at the end of the text."""
    line = last_line(text)
    return in_fence(text) or (not line.startswith(_FENCE) and line.count("`") % 2 == 1)


def block_of(line: str) -> str:
    """The mark of the list, table, heading, quotation or fence that a line belongs to, or ''."""
    if line.startswith(_FENCE):
        return _FENCE
    match = _MARKER.match(line)
    if match is None:
        return ""
    return match[1] or match[2] or match[3]


def last_line(text: str) -> str:
    """The line that the text stops in, or the end of a very long one."""
    return text[max(text.rfind("\n") + 1, len(text) - _LINE) :]


def is_marker(line: str) -> bool:
    """The line is nothing yet but the mark of an item, a heading or a quotation."""
    match = _MARKER.match(line)
    return match is not None and not line[match.end() :].strip(" *_")
