"""Provider limits: requests and tokens per minute, concurrent calls, and API keys."""

from msgspec import Struct

from actors.routing.concurrency_gate import ConcurrencyGate
from actors.routing.key_ring import KeyCounts, KeyRing
from actors.routing.rate_window import RateUsage, RateWindow


class ProviderLimits(Struct, frozen=True, kw_only=True):
    """Limits of a provider; None means unlimited."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent: int | None = None
    """Maximum number of concurrent calls."""
    wait_s: float = 5.0
    """Maximum seconds that a call waits for one of the concurrent slots."""


class ProviderStatus(Struct, frozen=True, kw_only=True):
    """Current use of a provider's limits."""

    usage: RateUsage
    hot: bool
    in_flight: int
    keys: KeyCounts | None
    """Usable and refused keys, or None if the provider takes no key."""


class ProviderState:
    """State that all routes of a provider share: rate window, concurrency gate and keys."""

    __slots__ = ("capacity", "gate", "keys")

    def __init__(self, limits: ProviderLimits, keys: KeyRing | None) -> None:
        self.capacity = RateWindow(limits.requests_per_minute, limits.tokens_per_minute)
        self.gate = ConcurrencyGate(limits.concurrent, limits.wait_s)
        self.keys = keys

    def status(self, now: float) -> ProviderStatus:
        """Return the use at `now`, in seconds of the board's clock."""
        return ProviderStatus(
            usage=self.capacity.usage(now),
            hot=self.capacity.hot(now),
            in_flight=self.gate.in_flight,
            keys=None if self.keys is None else self.keys.counts(now),
        )
