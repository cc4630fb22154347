"""Specification of a mock answer, encoded in the model's name.

Every relay passes the name on unchanged, so the upstream, the load generator and the journal check
all know the exact text of an answer without further communication.
"""

import re
from functools import lru_cache

from msgspec import Struct

_NAME = re.compile(rb"bench:([a-z0-9=,]+)")
SEEDS = 8
"""Number of texts. Neighbouring streams have different ones, so misdirected frames are found."""


class Spec(Struct, frozen=True, kw_only=True):
    """One answer of `chunks` tokens, each in its own frame. Times are in milliseconds."""

    chunks: int = 20
    delay: int = 0
    """Time between two tokens; 0 means as fast as the connection accepts them."""
    seed: int = 0
    head: int = 0
    """Time from the request to the head of the response."""
    first: int = 0
    """Time from the head to the first token."""

    @property
    def model(self) -> str:
        """Model name that requests this answer."""
        return "bench:" + ",".join(
            f"{name}={getattr(self, name)}" for name in self.__struct_fields__
        )


def parse(body: bytes) -> Spec | None:
    """Return the spec in a request body, or None. Raises `ValueError` if it is malformed."""
    found = _NAME.search(body)
    if found is None:
        return None
    pairs = (part.split("=", 1) for part in found[1].decode().split(","))
    try:
        return Spec(**{name: int(value) for name, value in pairs})
    except TypeError as error:
        raise ValueError(str(error)) from error


def token(seed: int, number: int) -> str:
    """Return token `number` of text `seed`: unique, and with a single space at its end."""
    return f"{seed}w{number} "


@lru_cache(maxsize=64)
def text(seed: int, chunks: int) -> bytes:
    """Return the complete text of an answer."""
    return "".join(token(seed, number) for number in range(chunks)).encode()
