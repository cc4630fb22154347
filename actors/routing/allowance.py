"""What one provider allows: requests and tokens a minute, calls at once, and its keys."""

from msgspec import Struct

from actors.routing.capacity import Capacity, CapacityLimits, CapacityUsage
from actors.routing.gate import Gate
from actors.routing.keys import KeyCounts, KeyRing


class ProviderLimits(Struct, frozen=True, kw_only=True):
    """How much a provider is asked for; None where nothing is limited."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent: int | None = None
    """Calls at once."""
    wait_s: float = 5.0
    """Seconds that a call waits for a place among them."""


class ProviderStatus(Struct, frozen=True, kw_only=True):
    """How much of its allowance is used."""

    usage: CapacityUsage
    hot: bool
    in_flight: int
    keys: KeyCounts | None
    """None where the provider takes no key."""


class Allowance:
    """What all routes of a provider share."""

    __slots__ = ("capacity", "gate", "keys")

    def __init__(self, limits: ProviderLimits, keys: KeyRing | None) -> None:
        self.capacity = Capacity(
            CapacityLimits(
                requests_per_minute=limits.requests_per_minute,
                tokens_per_minute=limits.tokens_per_minute,
            )
        )
        self.gate = Gate(limits.concurrent, limits.wait_s)
        self.keys = keys

    def status(self, now: float) -> ProviderStatus:
        """How it stands now, in seconds of the board's clock."""
        return ProviderStatus(
            usage=self.capacity.usage(now),
            hot=self.capacity.hot(now),
            in_flight=self.gate.in_flight,
            keys=None if self.keys is None else self.keys.counts(now),
        )
