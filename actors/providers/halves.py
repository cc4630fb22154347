"""Characters that a server has cut in two.

Whoever counts text in UTF-16, as JavaScript does, may end one frame in the middle of a character
beyond U+FFFF and begin the next one there: `"…\\ud83d"`, `"\\udc69…"`. RFC 8259 §8.2 lets that pass
as JSON and leaves open what it means; decoders do not take it.
"""

import re

_MOST = 16_384
"""Bytes of a frame that is looked at; pieces of a text are small."""
_HIGH = rb"\\u[dD][89abAB][0-9a-fA-F]{2}"
_LOW = rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPE = re.compile(
    rb"(?P<whole>%b%b)|(?P<high>%b)(?P<ends>\")?|(?P<begins>\")?(?P<low>%b)|(?P<other>\\.)"
    % (_HIGH, _LOW, _HIGH, _LOW),
    re.DOTALL,
)
_NO_CHARACTER = rb"\ufffd"


class Halves:
    """Puts the halves of one answer's characters together."""

    def __init__(self) -> None:
        self._held = b""
        """The first half of a character, at which a text ended."""

    def mended(self, frame: bytes) -> bytes | None:
        """The JSON without halves; None where it has none.

        A first half that ends a text waits for the second one to begin another. Any other half
        becomes U+FFFD.
        """
        if len(frame) > _MOST or b"\\u" not in frame:
            return None
        mended = _ESCAPE.sub(self._mend, frame)
        return None if mended == frame else mended

    def _mend(self, escape: re.Match[bytes]) -> bytes:
        if escape["high"]:
            return self._hold(escape["high"]) if escape["ends"] else _NO_CHARACTER
        if escape["low"]:
            begins = escape["begins"] or b""
            held, self._held = (self._held, b"") if begins else (b"", self._held)
            return begins + (held + escape["low"] if held else _NO_CHARACTER)
        return escape[0]

    def _hold(self, half: bytes) -> bytes:
        self._held = half
        return b'"'
