"""Removes what an answer says again right behind the first time, such as the loops of a model."""

import re
from collections.abc import Iterable, Iterator, Sequence

from actors.guards.prose import MASKED, START, Sentence, sentences
from actors.guards.spec import (
    PASS,
    Action,
    Check,
    GuardContext,
    GuardSpec,
    Rewrite,
    Scores,
    TextCheck,
    Verdict,
)
from actors.guards.wording.overlap import CJK
from actors.guards.wording.phrases import phrases

CHARACTERS = 50
"""Characters from which a passage that comes twice in a row is a repetition."""
_LOOPS = 5
_LOOP_CHARACTERS = 100
"""Times in a row, and characters in all, from which a shorter passage is one."""
_GRAM = 4
"""Words that are compared at once: single words come back too often to find periods by them."""
_CANDIDATES = 4
"""Earlier places of the same words that are tried, so that the time stays linear."""
_STRETCH = 64 * 1024
"""Characters that are looked at together."""
_BEGINNING = 4096
"""Characters of a passage that are looked at for letters."""
_WORD = re.compile(rf"[{CJK}]|[^\s{CJK}]+")
_WANTED = phrases(
    r"""
    (?:repeat|times|again|loop|refrain|chorus|song|lyrics|poem|chant|mantra|rhyme|prayer|litany)\b
    (?:wiederhol|mal\b|lied|gedicht|refrain|reim|gebet|chanson|poème|fois|répèt|répét|prière|comptine)
    (?:canción|poema|veces|repit|repet|estribillo|oración|rima|copy|pattern|sequence|lorem|dummy)
    """
)


def _make(context: GuardContext) -> Check | None:
    return None if _WANTED.search(context.question) else TextCheck(check=_check)


def _check(text: str, scores: Scores) -> Verdict:
    parts: list[str] = []
    at = 0
    for begin, end in repetitions(text):
        parts.append(text[at:begin])
        at = end
    return Rewrite("".join(parts) + text[at:]) if parts else PASS


def repetitions(text: str) -> Iterator[tuple[int, int]]:
    """Yield the parts of a text that repeat what is right before them, in linear time.

    A long text is looked at in stretches: lists of a million words would keep the GIL when they
    are freed.
    """
    at, place = 0, START
    while at < len(text):
        end = at + _STRETCH
        if end < len(text):
            end = max(text.rfind("\n", at, end), text.rfind(" ", at, end), at + _STRETCH // 2) + 1
        prose, place = sentences(text[at:end], place)
        yield from ((at + begin, at + last) for begin, last in _repetitions(text[at:end], prose))
        at = end


def _repetitions(text: str, prose: Iterable[Sentence]) -> Iterator[tuple[int, int]]:
    words, places = _words(prose)
    done = 0
    for first, period, end in _periodic(words):
        # A stretch within one that was found is that of a part of it, or of several copies.
        if first < done:
            continue
        copies = (end - first) // period
        behind = _behind(words, first + copies * period, period, end)
        begin, last = places[first][0], places[behind - 1][1]
        passage = text[begin : places[first + period][0]].strip()
        is_loop = copies >= _LOOPS and last - begin >= _LOOP_CHARACTERS
        if (len(passage) >= CHARACTERS or is_loop) and _is_wordy(passage):
            done = behind
            yield places[first + period - 1][1], last


def _words(prose: Iterable[Sentence]) -> tuple[list[str], list[tuple[int, int]]]:
    """Return the words of the prose and their positions.

    Characters of scripts without spaces are words. Code blocks and quotations are words that no
    other equals, so that nothing repeats over them.
    """
    words: list[str] = []
    places: list[tuple[int, int]] = []
    at = 0
    for sentence in prose:
        base = sentence.begin
        if base > at:
            words.append(f"{MASKED}{at}")
            places.append((at, at))
        for found in _WORD.finditer(sentence.text):
            begin, end = found.span()
            words.append(f"{MASKED}{base + begin}" if MASKED in found[0] else found[0])
            places.append((base + begin, base + end))
        at = base + len(sentence.text)
    return words, places


def _periodic(words: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """Yield the begin, period and end of the stretches that consist of at least two copies."""
    newest: dict[int, int] = {}
    older: list[int] = []
    """Place before each one that has the same words, or -1."""
    runs: dict[int, int] = {}
    """Begin of the stretch that continues, for each period."""
    grams = zip(*(words[skip:] for skip in range(_GRAM)), strict=False)
    for at, gram in enumerate(map(hash, grams)):
        place = newest.get(gram, -1)
        newest[gram] = at
        older.append(place)
        if place < 0 and not runs:
            continue
        ongoing: dict[int, int] = {}
        for _ in range(_CANDIDATES):
            if place < 0:
                break
            ongoing[at - place] = runs.pop(at - place, place)
            place = older[place]
        yield from _copies(runs, at + _GRAM - 1)
        runs = ongoing
    yield from _copies(runs, len(words))


def _copies(runs: dict[int, int], end: int) -> Iterator[tuple[int, int, int]]:
    """Yield the stretches that end, those with the shortest period first."""
    for period in sorted(runs):
        if end - runs[period] >= 2 * period:
            yield runs[period], period, end


def _behind(words: Sequence[str], behind: int, period: int, end: int) -> int:
    """Return the place behind the last copy; the end of the text can be a part of another one."""
    if end + 1 == len(words) and words[end - period].startswith(words[end]):
        end += 1
    return end if end == len(words) else behind


def _is_wordy(passage: str) -> bool:
    """Return True if more than half of the characters are letters, unlike in rulers and numbers."""
    begins = passage[:_BEGINNING]  # of a long one: one call in C keeps the GIL
    return sum(map(str.isalpha, begins)) * 2 > len(begins)


GUARD = GuardSpec(
    name="self_repetition",
    does="Removes passages that repeat what is right before them.",
    action=Action.REWRITE,
    make=_make,
)
