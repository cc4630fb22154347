"""Scoring: how much an incoming text looks like an attack, and the text without it. Pure.

`score` takes about 30 ms of CPU per MiB of plain English and up to 2 s of hostile text, most of it
without the GIL. Call it in a thread for long texts (`actors.runtime.offload`).
"""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum

from msgspec import Struct

from actors.guards.input.context import is_meant
from actors.guards.input.folding import folded, is_invisible
from actors.guards.input.normalise import Normalised, readings
from actors.guards.input.phrases import InputClass, rules
from actors.guards.spec import Span

WEIGHTS: Mapping[InputClass, int] = {
    InputClass.INSTRUCTION_OVERRIDE: 35,
    InputClass.ENCODING_TRICK: 20,
    InputClass.AUTHORITY_CLAIM: 30,
    InputClass.FINANCIAL_DRAIN: 40,
}
"""Weight of each class in hundredths. Each counts once."""
BONUS = 15
"""Hundredths that more than two classes add."""
CAUTION = 30
BLOCKED = 70
"""Hundredths from which a text is treated with caution, and from which it is blocked."""
MARK = "[removed]"
"""Replaces what a text is sanitised from."""
_ROUNDS = 4
"""Times that a text is sanitised: what remains may join to another phrase."""


class Level(StrEnum):
    """Treatment of a text."""

    CLEAN = "clean"
    CAUTION = "caution"
    BLOCKED = "blocked"


class InputScore(Struct, frozen=True):
    """The score of a text, from 0 to 1, and the spans of the text that caused it."""

    total: float
    level: Level
    classes: Mapping[InputClass, tuple[Span, ...]]
    """Spans of each class that was found, in order and without overlaps."""


def score(text: str) -> InputScore:
    """Return the score of a text. The same text always has the same score."""
    found: dict[InputClass, list[Span]] = {each: [] for each in InputClass}
    for reading in readings(text):
        for each, span in _phrases(text, reading):
            found[each].append(span)
    return _scored({each: _merged(spans) for each, spans in found.items() if spans})


def _phrases(text: str, reading: Normalised) -> Iterator[tuple[InputClass, Span]]:
    """Yield the phrases of attacks, and those that are disguised as tricks too."""
    plain = reading.text
    for each, rule in rules().items():
        for begin, end in rule.find(plain):
            span = Span(*reading.original(begin, end))
            if _is_disguised(text[span.begin : span.end], plain[begin:end]):
                yield each, span
                yield InputClass.ENCODING_TRICK, span
            elif is_meant(plain, begin, end, each):
                yield each, span


def _scored(classes: Mapping[InputClass, tuple[Span, ...]]) -> InputScore:
    # In hundredths, because sums of floats can miss the thresholds.
    total = sum(WEIGHTS[each] for each in classes) + (BONUS if len(classes) > 2 else 0)
    level = Level.CLEAN if total < CAUTION else Level.CAUTION if total < BLOCKED else Level.BLOCKED
    return InputScore(min(total, 100) / 100, level, classes)


def sanitised(text: str, score_of_text: InputScore) -> str:
    """Return the text with a neutral mark in place of every span of its score."""
    for _ in range(_ROUNDS):
        spans = _merged(span for spans in score_of_text.classes.values() for span in spans)
        if not spans:
            break
        parts: list[str] = []
        copied = 0
        for span in spans:
            parts += (text[copied : span.begin], MARK)
            copied = span.end
        text = "".join([*parts, text[copied:]])
        score_of_text = score(text)
    return text


def _merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return the spans in order, those that touch as one."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.begin <= merged[-1].end:
            merged[-1] = Span(merged[-1].begin, max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return tuple(merged)


def _is_disguised(original: str, plain: str) -> bool:
    """Return True if the original of a phrase hides it: encoded, invisible or by look-alikes."""
    if len(original) > 4 * len(plain) or folded(original) != plain:
        return True  # an encoded run can be as long as the text, and have many phrases
    if original.isascii():
        return False
    return any(map(is_invisible, original)) or (plain.isascii() and any(map(_is_foreign, original)))


def _is_foreign(character: str) -> bool:
    """Return True for a letter of another script, or a special form of a Latin one."""
    if character.isascii() or not character.isalpha():
        return False
    return not unicodedata.name(character, "").startswith("LATIN")
