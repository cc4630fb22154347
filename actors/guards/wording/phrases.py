"""Patterns of phrases, written one a line. Pure."""

import re

from actors.guards.patterns import Pattern, compile

_PART = re.compile(r"<(\w+)>")


def lines(text: str, **parts: str) -> str:
    r"""Return the alternation of the lines of a text, with `<name>` replaced by that part.

    A phrase begins where a word does, if it begins with an ASCII letter or with `(`: RE2's `\b`
    knows no other letters, so that words such as `écris` stand first in lines of their own.
    """
    stripped = (line.strip() for line in text.splitlines())
    phrases = [_begun(line) for line in stripped if line]
    return f"(?:{_PART.sub(lambda found: parts[found[1]], '|'.join(phrases))})"


def phrases(text: str, **parts: str) -> Pattern:
    """Return a pattern that finds any of the phrases in any case; see `lines`."""
    return compile(lines(text, **parts), ignore_case=True)


def _begun(phrase: str) -> str:
    at_word = phrase[0] == "(" or (phrase[0].isascii() and phrase[0].isalpha())
    return rf"\b{phrase}" if at_word else phrase
