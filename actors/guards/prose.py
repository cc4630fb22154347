"""Prose of a text: its sentences without code and quotations, which guards leave alone. Pure.

Sentences are the units of `actors.guards.units.SENTENCE`, so text can be given in pieces that end
with them. A code block or a quotation may begin in an earlier piece: `Place` says so.
"""

import re
from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct

from actors.guards.spec import Span, SpanCheck, in_order
from actors.guards.units import SENTENCE
from actors.runtime.offload import give_way

MASKED = "\x1a"
"""Character in place of each one of inline code and quotations; it matches no word."""

_FENCE = re.compile(r"\s*(?:[-*+>]\s+)?(`{3,}|~{3,})(.*)", re.DOTALL)
_AT_ONCE = 32
"""Sentences that are searched before other threads may run."""
_SPECIAL = re.compile(r"\s*(?:[-*+>]\s+)?(?:```|~~~)|\s*[>|]")
"""Beginning of a line that can be something else than prose."""
_ASIDE = re.compile(r"\s*[>|]")
"""Beginning of a line that quotes, or that is a row of a table."""
_MARKER = re.compile(r"\s*(?:[-*+>]|\d+[.)])?\s*")
"""A piece with at most the marker of a list item, so that the line still begins behind it."""
_OPENING = re.compile(r"[“„«»「]|`+|(?<![\w\"])\"")
_MARK = re.compile('["`“„«»「]')
"""Any mark of `_OPENING`: a class is searched five times as fast."""
_CLOSING = {"“": '”"', "„": '“”"', "«": "»", "»": "«", "「": "」"}
"""Marks that close a quotation; `"` and the ticks around code close what they open."""


class Place(Struct, frozen=True):
    """A place between two sentences of a text; by default its beginning."""

    fence: str = ""
    """Marker of the code block around it, or an empty text."""
    quotation: str = ""
    """Mark that opened the quotation around it, or an empty text."""
    begins_line: bool = True
    is_aside: bool = False
    """True within a line that is not prose: a quotation, a row of a table, the marker of code."""


START = Place()
_WITHIN_LINE = Place(begins_line=False)


class Sentence(Struct, frozen=True):
    """A sentence and the white space behind it."""

    begin: int
    text: str
    """The sentence, with apostrophes as `'`, and `MASKED` for inline code and quotations."""
    begins_line: bool


def sentences(text: str, place: Place = START) -> tuple[list[Sentence], Place]:
    """Return the sentences of prose in a text at a place, and the place at its end."""
    found: list[Sentence] = []
    for begin, unit in SENTENCE.split(text):
        fence = place.fence
        is_aside = place.is_aside or bool(fence)
        if place.begins_line and _SPECIAL.match(unit) is not None:
            fence = _fence_behind(unit, fence)
            is_aside = is_aside or bool(fence) or _ASIDE.match(unit) is not None
        ends_line = "\n" in unit or (place.begins_line and _MARKER.fullmatch(unit) is not None)
        if is_aside:
            place = Place(fence, "", ends_line, not ends_line)
            continue
        plain, quotation = _masked(unit, place.quotation)
        found.append(Sentence(begin, plain, place.begins_line))
        if quotation and unit.count("\n") < 2:
            place = Place("", quotation, ends_line)
        else:  # A quotation ends with its paragraph, in case its mark was no quotation's.
            place = START if ends_line else _WITHIN_LINE
    return found, place


def spans(find: Callable[[str], list[Span]], prose: Iterable[Sentence]) -> list[Span]:
    """Return the spans that `find` returns for each sentence, as spans of the text.

    One that removes all of a sentence also removes the white space behind it, but not the end of
    a line that has other text.
    """
    found: list[Span] = []
    for number, sentence in enumerate(prose, 1):
        for begin, end, replacement in _widened(sentence, find(sentence.text)):
            found.append(Span(sentence.begin + begin, sentence.begin + end, replacement))
        if number % _AT_ONCE == 0:
            give_way()
    return found


def spans_of(check: SpanCheck, text: str) -> list[Span]:
    """Return the spans of a check in a whole text; raises `ValueError` if they are wrong."""
    found = spans(check.find, sentences(text)[0]) if check.prose else check.find(text)
    return in_order(found, len(text))


def sentence_check(find: Callable[[str], list[Span]]) -> SpanCheck:
    """Return a check that finds pieces of single sentences of prose."""
    return SpanCheck(settle=SENTENCE.settled, find=find, prose=True)


def _fence_behind(unit: str, fence: str) -> str:
    """Return the marker of the code block that is open behind a unit at the beginning of a line."""
    line = _FENCE.match(unit)
    if line is None:
        return fence
    marker, rest = line.groups()
    if fence:
        return "" if marker.startswith(fence) and not rest.strip() else fence
    return "" if marker in rest else marker


def _masked(text: str, quotation: str) -> tuple[str, str]:
    """Return the text with its code and quotations masked, and the mark of one that stays open."""
    if not quotation and _MARK.search(text) is None:
        return _plain(text), ""
    parts: list[str] = []
    at = begin = 0
    while True:
        if not quotation:
            opening = _OPENING.search(text, at)
            if opening is None:
                break
            parts.append(text[at : opening.start()])
            (at, begin), quotation = opening.span(), opening[0]
        end = _closed(text, begin, quotation)
        parts.append(MASKED * ((end or len(text)) - at))
        if end is None:
            return _plain("".join(parts)), quotation
        at = begin = end
        quotation = ""
    return _plain("".join(parts) + text[at:]), ""


def _closed(text: str, begin: int, quotation: str) -> int | None:
    """Return the end of a quotation whose words begin at `begin`, or None if it stays open."""
    ends = [
        at + len(quotation)
        for mark in _CLOSING.get(quotation, (quotation,))
        if (at := text.find(mark, begin)) >= 0
    ]
    return min(ends, default=None)


def _plain(text: str) -> str:
    return text if text.isascii() else text.replace("\u2019", "'").replace("\xa0", " ")


def _widened(sentence: Sentence, found: list[Span]) -> Iterator[tuple[int, int, str]]:
    for span in found:
        end = span.end
        if span.begin == 0 and not span.replacement and not sentence.text[end:].strip():
            line_end = sentence.text.find("\n", end)
            end = line_end if line_end >= 0 and not sentence.begins_line else len(sentence.text)
        yield span.begin, end, span.replacement
