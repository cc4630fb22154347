"""Prefixed ids that sort by the time they were made (a prefix and a ULID in lower case)."""

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = tuple(high + low for high in _ALPHABET for low in _ALPHABET)
_RANDOM_BITS = 80
_MS_MASK = (1 << 48) - 1


def new_id(prefix: str, now: float | None = None) -> str:
    """Make an id: `prefix` (with its underscore, as in `turn_`) and 26 characters.

    The characters are Crockford's base32 (https://www.crockford.com/base32.html), in lower
    case, of 48 bits of milliseconds since the epoch and 80 random bits. `now` is in seconds;
    the wall clock by default. Ids made within one millisecond have no order among them.
    """
    ms = int((time.time() if now is None else now) * 1000) & _MS_MASK
    return prefix + _base32((ms << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS))


def _base32(number: int) -> str:
    """Encode 130 bits as 26 characters, two at a time."""
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in range(120, -1, -10)])
