"""Key ring: rotates the API keys of one provider and rests refused ones, without I/O.

Times are seconds of any monotonic clock, passed in as `now`.
"""

from collections.abc import Sequence

from msgspec import Struct

REST_S = 2.0
"""Seconds that a key rests after its first refusal; providers also refuse good keys at times."""
REST_MAX_S = 300.0
"""Longest rest in seconds; also the longest wait after the operator has replaced a key or paid."""


class KeyCounts(Struct, frozen=True):
    """Numbers of usable and refused keys of a provider."""

    usable: int
    refused: int


class _Rest(Struct, frozen=True):
    """The rest of a refused key."""

    until: float
    next_s: float
    """Seconds that it rests after the next refusal."""


class KeyRing:
    """The API keys of a provider that takes one.

    A provider that takes no key has no ring. A ring without keys belongs to a provider whose
    configured key references resolve to nothing; it is never usable. `repr` doesn't show the keys.
    """

    __slots__ = ("_keys", "_next", "_rests")

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = tuple(dict.fromkeys(keys))
        self._next = 0
        self._rests: dict[str, _Rest] = {}

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
        """Rest a key that the provider refused, for `REST_S` seconds or until `reset`.

        The rest is twice the last one, up to `REST_MAX_S`, unless the key has been accepted since.
        Refusals of other calls that were in flight with the key don't extend the rest.
        """
        if key not in self._keys or not self._usable(key, now):
            return
        last = self._rests.get(key)
        seconds = REST_S if last is None else last.next_s
        self._rests[key] = _Rest(now + seconds, min(2 * seconds, REST_MAX_S))

    def accepted(self, key: str) -> None:
        """Let the next rest of a key that the provider accepted be `REST_S` seconds again.

        A rest in progress continues, for the call may be older than the refusal.
        """
        if key in self._rests:
            self._rests[key] = _Rest(self._rests[key].until, REST_S)

    def reset(self) -> None:
        """Make all keys usable again."""
        self._rests.clear()

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
        rests = map(self._rests.get, self._keys)
        return min((max(0.0, rest.until - now) if rest else 0.0 for rest in rests), default=None)

    def _usable(self, key: str, now: float) -> bool:
        rest = self._rests.get(key)
        return rest is None or now >= rest.until
