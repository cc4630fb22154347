r"""Decoding: what runs of encoded text say. Pure.

A decoder finds its runs with a pattern, and returns the text of each, or None if it is none: most
runs that look like Base64 are keys, pictures or long words. Percent and backslash escapes, HTML
entities, Base64, hexadecimal and binary digits, s p a c e d letters and d1gits for letters are
replaced by what they say. What a line in rot13 or reversed says follows it, since the line may
have been plain.

A run may be as long as the text. No single call into C works on more than it takes a few
milliseconds for, since it holds the GIL.
"""

import base64
import codecs
import html
import re
from collections.abc import Callable, Iterator

from msgspec import Struct

from actors.guards import patterns
from actors.guards.input.folding import fold
from actors.guards.input.layers import Piece, join
from actors.guards.input.phrases import vocabulary
from actors.guards.patterns import Pattern

_PROBE = 1024
"""Characters of a run that are decoded first, since most long runs are not text."""
_BLOCK = 65_536
"""Characters that are decoded in one call. A multiple of eight."""
_LINE = 400
"""Most characters before and after a word in rot13 or reversed that count as its line."""
_WORDS = sorted(word for word in vocabulary() if len(word) > 5)
"""Words of attacks that are long enough to have no other meaning in rot13 or reversed."""
_ROTATED = "|".join(codecs.encode(word, "rot13") for word in _WORDS)
_MIRRORED = "|".join(word[::-1] for word in _WORDS)


class Decoder(Struct, frozen=True):
    """A kind of encoding: a pattern of its runs, and their text, or None if they have none."""

    pattern: Pattern
    decode: Callable[[str], str | None]

    def pieces(self, text: str) -> Iterator[Piece]:
        """Yield the encoded runs of `text` with what they say, in plain form."""
        for begin, end in self.pattern.finditer(text):
            if (said := self.decode(text[begin:end])) is not None:
                yield Piece(begin, end, fold(said).text)


class LineDecoder(Struct, frozen=True):
    """A kind of encoding that certain words betray. It concerns the whole line around them."""

    pattern: Pattern
    decode: Callable[[str], str]

    def pieces(self, text: str) -> Iterator[Piece]:
        """Yield the encoded lines of `text`, each followed by what it says."""
        last = 0
        for begin, end in self.pattern.finditer(text):
            if end <= last:
                continue
            first = max(begin - _LINE, last)
            first = max(first, text.rfind("\n", first, begin) + 1)
            newline = text.find("\n", end, end + _LINE)
            last = newline if newline >= 0 else min(end + _LINE, len(text))
            line = text[first:last]
            yield Piece(first, last, f"{line}\n{self.decode(line)}\n")


def _readable(data: bytes) -> str | None:
    """Return the text in `data` if it is text that a person could read."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    sample = text[:_PROBE]
    letters = sum(character.isalnum() or character.isspace() for character in sample)
    return text if letters * 10 >= len(sample) * 7 else None


def _percent(run: str) -> str | None:
    blocks = (run[at : at + 3 * _BLOCK] for at in range(0, len(run), 3 * _BLOCK))
    data = b"".join([bytes.fromhex(block.replace("%", "")) for block in blocks])
    return data.decode("utf-8", "replace")


def _entities(run: str) -> str | None:
    parts: list[str] = []
    begin = 0
    while len(run) - begin > _BLOCK:
        end = run.rindex("&", begin + 1, begin + _BLOCK)  # no entity is that long
        parts.append(html.unescape(run[begin:end]))
        begin = end
    return "".join([*parts, html.unescape(run[begin:])])


_ESCAPES = (
    r"u\{([0-9a-fA-F]{1,6})\}",
    "u([0-9a-fA-F]{4})",
    "U([0-9a-fA-F]{8})",
    "x([0-9a-fA-F]{2})",
)
_ESCAPE = re.compile(rf"\\(?:{'|'.join(_ESCAPES)})")


def _backslash(run: str) -> str | None:
    codes = (int(next(filter(None, match.groups())), 16) for match in _ESCAPE.finditer(run))
    text = "".join(chr(code) for code in codes if code <= 0x10FFFF)
    # Characters beyond U+FFFF are written as two surrogates.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _hexadecimal(run: str) -> str | None:
    if len(run) > _PROBE and _hexadecimal(run[:_PROBE]) is None:
        return None
    digits = run.lower()
    for separator in ("0x", " ", ":", ","):
        digits = digits.replace(separator, "")
    return _readable(bytes.fromhex(digits[: len(digits) // 2 * 2]))


def _binary(run: str) -> str | None:
    digits = run.replace(" ", "").replace(",", "")
    return _readable(bytes(int(digits[at : at + 8], 2) for at in range(0, len(digits), 8)))


def _base64(run: str) -> str | None:
    if len(run) > _PROBE and _base64(run[:_PROBE]) is None:
        return None
    digits = run
    for old, new in (("\r", ""), ("\n", ""), ("=", ""), ("-", "+"), ("_", "/")):
        digits = digits.replace(old, new)
    if len(digits) % 4 == 1:
        digits = digits[:-1]  # a digit alone says nothing
    data = b"".join(
        base64.b64decode(digits[at : at + _BLOCK] + "==") for at in range(0, len(digits), _BLOCK)
    )
    # The beginning of a run may end inside a character.
    return _readable(data.decode("utf-8", "ignore").encode() if len(run) == _PROBE else data)


def _spaced(run: str) -> str | None:
    parts: list[str] = []
    last = 0
    for found in re.finditer("[A-Za-z]", run):
        if found.start() - last > 2:  # more than one separator: a new word
            parts.append(" ")
        parts.append(found[0])
        last = found.start()
    return join(parts)


def _rot13(line: str) -> str:
    return codecs.encode(line, "rot13")


def _reversed(line: str) -> str:
    return line[::-1]


_DIGITS = str.maketrans("0345789@$", "oeastbgas")


def _leet(word: str) -> str | None:
    letters = word.lower().translate(_DIGITS)
    spellings = (letters.replace("1", "i"), letters.replace("1", "l"))
    return next((spelling for spelling in spellings if spelling in vocabulary()), None)


_HEX = "[0-9a-fA-F]"
RUNS = (
    Decoder(patterns.compile(f"(?:%{_HEX}{{2}})+"), _percent),
    Decoder(
        patterns.compile(
            f"(?:&(?:#[0-9]{{1,7}};?|#[xX]{_HEX}{{1,6}};?|[A-Za-z][A-Za-z0-9]{{1,31}};))+"
        ),
        _entities,
    ),
    Decoder(
        patterns.compile(
            rf"(?:\\(?:u\{{{_HEX}{{1,6}}\}}|u{_HEX}{{4}}|U{_HEX}{{8}}|x{_HEX}{{2}}))+"
        ),
        _backslash,
    ),
    Decoder(patterns.compile(r"\b(?:[01]{8}[ ,]?){6,}"), _binary),
    Decoder(patterns.compile(rf"\b(?:(?:0x)?{_HEX}{{2}}[ :,]{{0,2}}){{12,}}\b"), _hexadecimal),
    Decoder(
        # The lines before the last one are those of Base64 that was wrapped, as in a mail.
        patterns.compile(r"(?:[A-Za-z0-9+/]{60,76}\r?\n)*[A-Za-z0-9+/_-]{16,}={0,2}"),
        _base64,
    ),
    Decoder(patterns.compile(r"\b(?:[A-Za-z][ .\-_*|]{1,7}){7,}[A-Za-z]\b"), _spaced),
    Decoder(
        patterns.compile(
            "[A-Za-z0134578@$]*(?:[A-Za-z][0134578@$]|[0134578@$][A-Za-z])[A-Za-z0134578@$]*"
        ),
        _leet,
    ),
)
"""Encodings that can be nested, in the order in which they are tried."""

LINES = (
    LineDecoder(patterns.compile(rf"\b(?:{_ROTATED})\b", ignore_case=True), _rot13),
    LineDecoder(patterns.compile(rf"\b(?:{_MIRRORED})\b", ignore_case=True), _reversed),
)
