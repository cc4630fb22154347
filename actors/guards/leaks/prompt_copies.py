"""Prompt copies: finds words of a prompt that a text repeats in a row. Pure.

A copy is at least `LEAST_WORDS` words and `LEAST_CHARACTERS` characters long; case, punctuation,
Markdown and white space do not count. The prompt is indexed by the hashes of its shortest possible
copies, and of its pairs of words, which tell early that no copy begins. All takes linear time.
"""

import re
import string
from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise

LEAST_WORDS = 8
LEAST_CHARACTERS = 40
_LONGEST_WORD = 64
_LONGEST_GAP = 100
"""Characters between two words beyond which no copy continues."""
# Scripts without spaces between words: each character is a word.
_DENSE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_DENSE_WORD = re.compile(f"[{_DENSE}]")
_WORD = re.compile(rf"[{_DENSE}]|[^\W_{_DENSE}]{{1,{_LONGEST_WORD}}}")


_RUN = re.compile(rb"\x01{%d,}" % (LEAST_WORDS - 1))
_LETTERS = string.ascii_letters + string.digits
_GAPS = "".join(chr(n) for n in range(128) if chr(n) not in _LETTERS)
Copy = tuple[int, int]
"""Begin and end of a copy in a text."""


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def _shortest_copies(words: list[str]) -> Iterator[int]:
    """Yield the hash of the shortest copy that begins at each word that has one."""
    end = size = 0
    for begin, word in enumerate(words):
        while end - begin < LEAST_WORDS or size < LEAST_CHARACTERS:
            if end == len(words):
                return
            size += len(words[end]) + 1
            end += 1
        yield hash(tuple(words[begin:end]))
        size -= len(word) + 1


class PromptIndex:
    """An index of a prompt, made when it is first needed: 10 ms for 100 KB."""

    def __init__(self, prompt: str, known: str) -> None:
        self._prompt = prompt
        self._known = known
        """A text that may be repeated, also where the prompt has it."""

    @cached_property
    def _words(self) -> list[str]:
        return _words(self._prompt)

    @cached_property
    def _copies(self) -> frozenset[int]:
        return frozenset(_shortest_copies(self._words))

    @cached_property
    def _known_copies(self) -> frozenset[int]:
        return frozenset(_shortest_copies(_words(self._known)))

    @cached_property
    def _pairs(self) -> frozenset[tuple[str, str]]:
        return frozenset(pairwise(self._words))

    @cached_property
    def _vocabulary(self) -> frozenset[str]:
        return frozenset(self._words)

    def may_continue(self, text: str) -> int:
        """Return where a copy may begin that continues behind the text, or the text's length."""
        before = text.rstrip(_LETTERS)
        held = len(before)
        if not text.isascii() or len(text) - held >= _LONGEST_WORD:
            return self._first_pending(text)
        # The usual case, five times faster: go back word by word while they are of the prompt.
        following = None
        for _ in range(LEAST_WORDS - 1):
            core = before.rstrip(_GAPS)
            gap = len(before) - len(core)
            before = core.rstrip(_LETTERS)
            word = core[len(before) :].lower()
            if len(word) >= _LONGEST_WORD:
                break
            if following is None:
                belongs = word in self._vocabulary
            else:
                belongs = (word, following) in self._pairs
            if not belongs or gap > _LONGEST_GAP:
                return held
            held, following = len(before), word
        return self._first_pending(text)

    def _first_pending(self, text: str) -> int:
        words = list(_WORD.finditer(text))
        held = len(text)
        if words and words[-1].end() == held and _is_unfinished(words[-1][0]):
            held = words.pop().start()
        if not words or held - words[-1].end() > _LONGEST_GAP:
            return held
        if words[-1][0].lower() not in self._vocabulary:
            return held
        begin = len(words) - 1
        while begin and self._is_pair(words[begin - 1], words[begin]):
            begin -= 1
        *_, (pending, _) = self._scan([word[0].lower() for word in words[begin:]])
        return words[begin + pending].start() if begin + pending < len(words) else held

    def copies(self, text: str) -> Iterator[Copy]:
        """Yield the shortest copies in a text, one behind the other."""
        words = _words(text)
        pairs = bytes(map(self._pairs.__contains__, pairwise(words)))
        places: list[re.Match[str]] = []
        for run in _RUN.finditer(pairs):
            begin, end = run.start(), run.end() + 1
            if any(last > first for first, last in self._scan(words[begin:end])):
                places = places or list(_WORD.finditer(text))
                yield from self._copies_in(places[begin:end])

    def _copies_in(self, words: list[re.Match[str]]) -> Iterator[Copy]:
        """Yield the copies among words, between which there may be long gaps."""
        begin = 0
        while begin < len(words):
            end = begin + 1
            while end < len(words) and self._is_pair(words[end - 1], words[end]):
                end += 1
            for first, last in self._scan([word[0].lower() for word in words[begin:end]]):
                if last > first:
                    yield words[begin + first].start(), words[begin + last - 1].end()
            begin = end

    def _is_pair(self, first: re.Match[str], second: re.Match[str]) -> bool:
        near = second.start() - first.end() <= _LONGEST_GAP
        return near and (first[0].lower(), second[0].lower()) in self._pairs

    def _scan(self, words: list[str]) -> Iterator[Copy]:
        """Yield the copies among words that are pairs, then the first word that may begin one."""
        begin = end = size = 0
        while True:
            while end - begin < LEAST_WORDS or size < LEAST_CHARACTERS:
                if end == len(words):
                    yield begin, begin
                    return
                size += len(words[end]) + 1
                end += 1
            copy = hash(tuple(words[begin:end]))
            if copy in self._copies and copy not in self._known_copies:
                yield begin, end
                begin, size = end, 0
            else:
                size -= len(words[begin]) + 1
                begin += 1


def _is_unfinished(word: str) -> bool:
    """Return whether more letters may belong to the last word of a text."""
    return len(word) < _LONGEST_WORD and not _DENSE_WORD.match(word)
