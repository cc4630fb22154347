"""Text boundaries: detects if a text stops inside a sentence, a line or a block of code.

Only the end of the text is examined, except for code fences, which are counted in all of it.
"""

import re
from typing import Final

from actors.continuation.splicing.characters import CLOSERS, MIDWAY, STOPS, is_word_char

_MARKER: Final = re.compile(
    r"\s{0,12}(?:([-*+•](?=\s|$)|[|>])|(#{1,6})(?=\s|$)|\d{1,3}([.)])(?=\s|$))"
)
_FENCE: Final = "```"
_LINE: Final = 4096
"""Maximum characters of the last line that are examined."""


def ends_line(text: str) -> bool:
    """Return True if only white space follows the text's last line break."""
    return "\n" in text[len(text.rstrip()) :]


def begins_line(before: str) -> bool:
    """Return True if text after `before` begins a line."""
    return not before or ends_line(before)


def stops_midway(text: str) -> bool:
    """Return True if the text stops inside a sentence: at a word, comma, dash or open bracket.

    False at the end of a line, after a list marker or an opening quotation mark, where the next
    word may or may not have a capital.
    """
    line = last_line(text)
    if begins_line(text) or is_marker(line) or ends_fence(text):
        return False
    last = line.rstrip().rstrip(CLOSERS)[-1:]
    return bool(last) and (is_word_char(last) or last in MIDWAY)


def begins_sentence(before: str) -> bool:
    """Return True if text after `before` begins a sentence, a list item or a line."""
    bare = before.rstrip().rstrip(CLOSERS)
    return begins_line(before) or not bare or bare[-1] in STOPS or is_marker(last_line(before))


def in_fence(text: str) -> bool:
    """Return True if a fenced code block is open at the end of the text."""
    return (text.startswith(_FENCE) + text.count("\n" + _FENCE)) % 2 == 1


def ends_fence(text: str) -> bool:
    """Return True if the text stops at the closing fence of a code block."""
    return last_line(text).startswith(_FENCE) and not in_fence(text)


def in_code(text: str) -> bool:
    """Return True if a fenced code block or inline code is open at the end of the text."""
    line = last_line(text)
    return in_fence(text) or (not line.startswith(_FENCE) and line.count("`") % 2 == 1)


def block_marker(line: str) -> str:
    """Return the mark of the line's list, table, heading, quotation or fence, or ''."""
    if line.startswith(_FENCE):
        return _FENCE
    match = _MARKER.match(line)
    if match is None:
        return ""
    return match[1] or match[2] or match[3]


def last_line(text: str) -> str:
    """Return the text's last line, or the end of it if it is very long."""
    return text[max(text.rfind("\n") + 1, len(text) - _LINE) :]


def is_marker(line: str) -> bool:
    """Return True if the line has only the mark of a list item, a heading or a quotation."""
    match = _MARKER.match(line)
    return match is not None and not line[match.end() :].strip(" *_")
