"""Boundaries: marks around the system prompt that only this deployment can make. Pure.

A mark has a tag: HMAC-SHA256 of the prompt with the secret of the deployment, cut to 128 bits. So
the marks of a prompt are always the same and caches of providers hit, and a user who writes a mark
into a message cannot know the tag. A mark is one word, for a few dozen tokens.
"""

import hashlib
import hmac
from enum import StrEnum

from actors.guards import patterns

_TAG_LENGTH = 32
"""Hexadecimal digits of a tag."""
MARK = patterns.compile(r"\[\[boundary:[!-Z^-~]{0,80}\]{0,2}", ignore_case=True)
"""Anything that looks like a mark, also one that is cut off or forged."""
LONGEST_MARK = 93


class Edge(StrEnum):
    """An end of the system prompt."""

    BEGIN = "begin"
    END = "end"


def mark(secret: bytes, edge: Edge, system: str) -> str:
    """Return the mark at an edge of a system prompt."""
    message = f"{edge}:{system}".encode("utf-8", "surrogatepass")
    tag = hmac.new(secret, message, hashlib.sha256).hexdigest()[:_TAG_LENGTH]
    return f"[[boundary:system:{edge}:{tag}]]"


def wrap(secret: bytes, system: str) -> str:
    """Return the system prompt between its marks, each on a line of its own."""
    begin, end = (mark(secret, edge, system) for edge in Edge)
    return f"{begin}\n{system}\n{end}"
