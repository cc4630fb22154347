"""Key ring: rotates the API keys of one provider and pauses refused ones, without I/O.

Times are seconds of any monotonic clock, passed in as `now`.
"""

from collections.abc import Sequence

from msgspec import Struct

from actors.routing.breaker import CREDIT_COOLDOWN_S


class KeyCounts(Struct, frozen=True):
    """Numbers of usable and refused keys of a provider."""

    usable: int
    refused: int


class KeyRing:
    """The API keys of a provider that takes one.

    A provider that takes no key has no ring. A ring without keys belongs to a provider whose
    configured key references resolve to nothing; it is never usable. `repr` doesn't show the keys.
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
        """Return the key for the next call in rotation, or None if no key is usable."""
        for step in range(len(self._keys)):
            index = (self._next + step) % len(self._keys)
            if self._usable(self._keys[index], now):
                self._next = index + 1
                return self._keys[index]
        return None

    def refused(self, key: str, now: float) -> None:
        """Pause a key that the provider refused, for an hour or until `reset`.

        Refusals of other calls that were in flight with the key don't extend the pause.
        """
        if key in self._keys and self._usable(key, now):
            self._refused_until[key] = now + CREDIT_COOLDOWN_S

    def reset(self) -> None:
        """Make all keys usable again."""
        self._refused_until.clear()

    def usable(self, now: float) -> bool:
        """Return True if `next` would return a key."""
        return any(self._usable(key, now) for key in self._keys)

    def has_other(self, key: str, now: float) -> bool:
        """Return True if a key other than this one is usable."""
        return any(other != key and self._usable(other, now) for other in self._keys)

    def counts(self, now: float) -> KeyCounts:
        """Return the numbers of usable and refused keys."""
        usable = sum(self._usable(key, now) for key in self._keys)
        return KeyCounts(usable, len(self._keys) - usable)

    def retry_in_s(self, now: float) -> float | None:
        """Return the seconds until a key is usable: 0 if one is now, None without keys."""
        waits = (max(0.0, self._refused_until.get(key, now) - now) for key in self._keys)
        return min(waits, default=None)

    def _usable(self, key: str, now: float) -> bool:
        until = self._refused_until.get(key)
        return until is None or now >= until
