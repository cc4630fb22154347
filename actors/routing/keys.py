"""The API keys of one provider: used in turn, and left alone for a while once refused. Pure.

Times are seconds of any clock that never goes back, passed in as `now`.
"""

from collections.abc import Sequence

from msgspec import Struct

from actors.routing.breaker import CREDIT_COOLDOWN_S


class KeyCounts(Struct, frozen=True):
    """How many of a provider's keys can be used now."""

    usable: int
    refused: int


class KeyRing:
    """The keys of a provider that wants one.

    A provider that takes no key has no ring at all; a ring without keys is that of a provider
    whose keys lead to nothing, and is never usable. Keys are not shown in `repr`.
    """

    __slots__ = ("_keys", "_next", "_refused_until")

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = tuple(dict.fromkeys(keys))
        self._next = 0
        self._refused_until: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"<KeyRing of {len(self._keys)}>"

    def next(self, now: float) -> str | None:
        """The key for the next call, each in its turn; None where there is none to be used."""
        for step in range(len(self._keys)):
            place = (self._next + step) % len(self._keys)
            if self._usable(self._keys[place], now):
                self._next = place + 1
                return self._keys[place]
        return None

    def refused(self, key: str, now: float) -> None:
        """The provider refused this key: leave it alone until `reset`, or for an hour.

        The refusals of other calls that were under way with it do not make it longer.
        """
        if key in self._keys and self._usable(key, now):
            self._refused_until[key] = now + CREDIT_COOLDOWN_S

    def reset(self) -> None:
        """All keys are good again."""
        self._refused_until.clear()

    def usable(self, now: float) -> bool:
        """Whether `next` would give a key."""
        return any(self._usable(key, now) for key in self._keys)

    def others(self, key: str, now: float) -> bool:
        """Whether a key besides this one can be used."""
        return any(other != key and self._usable(other, now) for other in self._keys)

    def counts(self, now: float) -> KeyCounts:
        """How many keys can be used, and how many were refused."""
        usable = sum(self._usable(key, now) for key in self._keys)
        return KeyCounts(usable, len(self._keys) - usable)

    def retry_in_s(self, now: float) -> float | None:
        """Seconds until a key can be used: 0 where one can now, None where there are no keys."""
        waits = (max(0.0, self._refused_until.get(key, now) - now) for key in self._keys)
        return min(waits, default=None)

    def _usable(self, key: str, now: float) -> bool:
        until = self._refused_until.get(key)
        return until is None or now >= until
