"""`truncation: auto`: which of a conversation still fits into a context window. Pure."""

from collections.abc import Sequence

from msgspec import Struct

from web.responses.units import Unit

_STANDING = ("system", "developer")


class Weighed(Struct, frozen=True):
    """A unit, and about how many tokens it is."""

    unit: Unit
    tokens: int


def fitting(units: Sequence[Weighed], room: int) -> list[Unit]:
    """What is left when the oldest units are dropped until the others take at most `room` tokens.

    Instructions stay, and so does the last unit, whatever it takes. Where something is dropped,
    what is left begins with a user, if a user says anything in it.
    """
    excess = sum(weighed.tokens for weighed in units) - room
    users = [place for place, weighed in enumerate(units) if weighed.unit.role == "user"]
    last_user = users[-1] if users else 0
    kept: list[Unit] = []
    dropping = excess > 0
    for place, weighed in enumerate(units):
        unit = weighed.unit
        headless = unit.role != "user" and place < last_user
        if unit.role in _STANDING or place == len(units) - 1:
            kept.append(unit)
        elif dropping and (excess > 0 or headless):
            excess -= weighed.tokens
        else:
            dropping = False
            kept.append(unit)
    return kept
