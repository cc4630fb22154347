"""What an answer of the mock upstream looks like, spelt in the model's name.

The name travels through every relay as it is, so the upstream, the load generator and the journal
check all know the exact text of an answer without having to tell each other.
"""

import re
from functools import lru_cache

from msgspec import Struct

_NAME = re.compile(rb"bench:([a-z0-9=,]+)")
SEEDS = 8
"""How many texts there are. Neighbouring streams differ, so frames in a wrong stream show."""


class Spec(Struct, frozen=True, kw_only=True):
    """One answer: `chunks` tokens, each in a frame of its own; times in milliseconds."""

    chunks: int = 20
    delay: int = 0
    """Between two tokens; 0 means as fast as the connection takes them."""
    seed: int = 0
    head: int = 0
    """From the request to the response's head."""
    first: int = 0
    """From the head to the first token."""

    @property
    def model(self) -> str:
        """The model's name that asks for this answer."""
        return "bench:" + ",".join(
            f"{name}={getattr(self, name)}" for name in self.__struct_fields__
        )


def parse(body: bytes) -> Spec | None:
    """The spec named in a request body; None where there is none. ValueError if it is malformed."""
    found = _NAME.search(body)
    if found is None:
        return None
    pairs = (part.split("=", 1) for part in found[1].decode().split(","))
    try:
        return Spec(**{name: int(value) for name, value in pairs})
    except TypeError as error:
        raise ValueError(str(error)) from error


def token(seed: int, number: int) -> str:
    """Token `number` of text `seed`: no two are alike, and each ends in its only space."""
    return f"{seed}w{number} "


@lru_cache(maxsize=64)
def text(seed: int, chunks: int) -> bytes:
    """The whole text of an answer."""
    return "".join(token(seed, number) for number in range(chunks)).encode()
