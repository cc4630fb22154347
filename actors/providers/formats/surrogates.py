"""Joins surrogate pairs that a server split across two frames.

A server that counts text in UTF-16, as JavaScript does, may end one frame in the middle of a
character beyond U+FFFF and begin the next one there: `"…\\ud83d"`, `"\\udc69…"`. RFC 8259 §8.2
permits that in JSON and leaves its meaning open; JSON decoders reject it.
"""

import re

_MAX_FRAME = 16_384
"""Maximum number of bytes of a frame that is repaired; frames with pieces of text are small."""
_HIGH = rb"\\u[dD][89abAB][0-9a-fA-F]{2}"
_LOW = rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPE = re.compile(
    rb"(?P<whole>%b%b)|(?P<high>%b)(?P<ends>\")?|(?P<begins>\")?(?P<low>%b)|(?P<other>\\.)"
    % (_HIGH, _LOW, _HIGH, _LOW),
    re.DOTALL,
)
_REPLACEMENT = rb"\ufffd"


class SurrogateJoiner:
    """A joiner of the split surrogate pairs of one answer."""

    def __init__(self) -> None:
        self._buffered = b""
        """Escape of the high surrogate that ended the previous text, or empty."""

    def joined(self, frame: bytes) -> bytes | None:
        """Return the frame without lone surrogates, or None if it has none.

        A high surrogate at the end of a text is held back and put before a low surrogate that
        starts a later text. Any other lone surrogate becomes U+FFFD.
        """
        if len(frame) > _MAX_FRAME or b"\\u" not in frame:
            return None
        joined = _ESCAPE.sub(self._join, frame)
        return None if joined == frame else joined

    def _join(self, escape: re.Match[bytes]) -> bytes:
        if escape["high"]:
            return self._buffer(escape["high"]) if escape["ends"] else _REPLACEMENT
        if escape["low"]:
            begins = escape["begins"] or b""
            held, self._buffered = (self._buffered, b"") if begins else (b"", self._buffered)
            return begins + (held + escape["low"] if held else _REPLACEMENT)
        return escape[0]

    def _buffer(self, half: bytes) -> bytes:
        self._buffered = half
        return b'"'
