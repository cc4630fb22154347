r"""Regular expressions that take linear time on any text (google-re2). Pure.

The syntax is RE2's: no look-around and no back references. `\w`, `\d`, `\s` and `\b` know ASCII
only; use classes such as `\pL` for other scripts. A search releases the GIL while it runs, and
holds it only to encode the text: about 0.1 ms per MiB of ASCII, 1 ms of anything else.

A search takes linear time, but `finditer` makes one for each match. Let no pattern look far beyond
what it matches: bound the gaps (`.{0,40}`), or many matches in a long text take quadratic time.
"""

from collections.abc import Iterator

import re2

MAX_MEMORY = 64 * 1024 * 1024
"""Bytes that the automatons of one pattern may take. They grow as texts need it; with RE2's default
of 8 MiB, alternations of hundreds of words fall back to a search that is ten times slower."""


class Pattern:
    """A compiled pattern, whose matches are pairs of character positions (begin, end)."""

    def __init__(self, pattern: str, *, ignore_case: bool = False) -> None:
        options = re2.Options()
        options.max_mem = MAX_MEMORY
        options.case_sensitive = not ignore_case
        options.log_errors = False  # they are raised; the log would get the text of the pattern
        self._compiled = re2.compile(pattern, options)

    def search(self, text: str) -> tuple[int, int] | None:
        """Return the first match that is not empty, or None."""
        return next(self.finditer(text), None)

    def match(self, text: str) -> int | None:
        """Return the length of the match that `text` begins with, or None."""
        encoded = text.encode("utf-8", "replace")
        found = self._compiled.match(encoded)
        if found is None:
            return None
        end = found.span()[1]
        return end if len(encoded) == len(text) else len(encoded[:end].decode())

    def finditer(self, text: str, group: int = 0) -> Iterator[tuple[int, int]]:
        """Yield the matches in order, or what `group` of them matched; empty ones are left out."""
        # JSON can contain lone surrogates. Each becomes one character, so that positions stay.
        encoded = text.encode("utf-8", "replace")
        ascii_only = len(encoded) == len(text)
        seen = position = 0
        for match in self._compiled.finditer(encoded):
            begin, end = match.span(group)
            if begin == end:
                continue
            if ascii_only:
                yield begin, end
                continue
            first = position + len(encoded[seen:begin].decode())
            position = first + len(encoded[begin:end].decode())
            seen = end
            yield first, position


def compile(pattern: str, *, ignore_case: bool = False) -> Pattern:
    """Return the compiled pattern. Raises `re2.error` if RE2 does not know its syntax."""
    return Pattern(pattern, ignore_case=ignore_case)
