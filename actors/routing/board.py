"""The board: which routes may be asked now, and what is known of each. One for all turns.

What is decided is decided here without waiting; who waits for a place does so at `gate`.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct

from actors.providers.base import Route
from actors.routing.allowance import Allowance, ProviderLimits, ProviderStatus
from actors.routing.breaker import Breaker, BreakerSettings, BreakerStatus, OpenReason, Permit
from actors.routing.gate import Gate
from actors.routing.keys import KeyRing
from actors.routing.needs import Needs, lacking
from actors.turn import PlannedRoute

ROUTES_KEPT = 1000
"""Clients can name routes directly: beyond so many the ones with the least to tell are forgotten.

Those that are configured, or that an operator opened, are not among them."""
_SWEEP_EVERY = 100
"""So many new routes, since a sweep looks at all of them."""

_SKIPS: dict[OpenReason, str] = {
    "failures": "breaker_open",
    "credit": "credit",
    "operator": "operator",
}


class Skipped(Struct, frozen=True):
    """A route that is not asked."""

    route: Route
    reason: str
    """`breaker_open`, `credit`, `operator`, `no_key`, or what the route lacks (`needs.Lack`)."""
    retry_in_s: float | None = None
    """When it may be: None where waiting does not help."""


class Choice(Struct, frozen=True):
    """The routes to try, in this order, and those that are passed over."""

    open: tuple[PlannedRoute, ...]
    skipped: tuple[Skipped, ...]


class RouteStatus(Struct, frozen=True):
    """All that is known of a route."""

    route: Route
    breaker: BreakerStatus
    provider: ProviderStatus
    prefill_refused: bool


class _Seen:
    """What is remembered of a route."""

    __slots__ = ("breaker", "prefill_refused")

    def __init__(self, settings: BreakerSettings) -> None:
        self.breaker = Breaker(settings)
        self.prefill_refused = False

    def is_idle(self, now: float) -> bool:
        """Nothing would be lost with it."""
        status = self.breaker.status(now)
        return status.state == "closed" and not status.failures and not self.prefill_refused

    def is_ours(self, now: float) -> bool:
        """No operator had a hand in it."""
        return self.breaker.status(now).reason != "operator"


class RouteBoard:
    """Breakers by route; capacity, places and keys by provider.

    `limits` and `keys` are by the provider's name: left out, it has no limits, or takes no key.
    The rings are shared with the providers, which tell them of refusals. `clock` gives seconds
    that never go back, as trio's does. What is known of `configured` routes is never forgotten.
    """

    def __init__(
        self,
        settings: BreakerSettings,
        limits: Mapping[str, ProviderLimits],
        keys: Mapping[str, KeyRing],
        clock: Callable[[], float],
        configured: Iterable[Route] = (),
    ) -> None:
        self._settings = settings
        self._limits = limits
        self._keys = keys
        self._clock = clock
        self._configured = frozenset(configured)
        self._providers: dict[str, Allowance] = {}
        self._seen: OrderedDict[Route, _Seen] = OrderedDict()
        """Those asked last are at the end."""
        self._sweep_at = ROUTES_KEPT + _SWEEP_EVERY

    def choose(self, routes: Sequence[PlannedRoute], needs: Needs) -> Choice:
        """Sort out the routes that cannot or must not be asked; hot ones go to the back."""
        now = self._clock()
        can: list[PlannedRoute] = []
        skipped: list[Skipped] = []
        for planned in routes:
            lack = lacking(needs, planned.capabilities)
            skip = Skipped(planned.route, lack) if lack else self._held_back(planned.route, now)
            if skip is None:
                can.append(planned)
            else:
                skipped.append(skip)
        can.sort(key=lambda planned: self._provider(planned.route).capacity.hot(now))
        return Choice(tuple(can), tuple(skipped))

    def enter(self, route: Route) -> Permit | Skipped:
        """Begin an attempt, unless the route must not be asked any more: things change.

        It counts as a request; wait for a place at its `gate` before.
        """
        now = self._clock()
        skip = self._held_back(route, now)
        if skip is not None:
            return skip
        permit = self._remembered(route).breaker.admit(now)
        assert permit is not None, "what is not held back is admitted"  # noqa: S101
        self._provider(route).capacity.note_request(now)
        return permit

    def gate(self, route: Route) -> Gate:
        """The places at the route's provider."""
        return self._provider(route).gate

    def note_tokens(self, route: Route, tokens: int) -> None:
        """So many tokens were used at the route's provider."""
        self._provider(route).capacity.note_tokens(self._clock(), tokens)

    def retry_in_s(self, routes: Iterable[Route]) -> float | None:
        """Seconds until the first of those that are held back may be asked; None for never."""
        now = self._clock()
        held = (self._held_back(route, now) for route in routes)
        waits = (skip.retry_in_s for skip in held if skip is not None)
        return min((wait for wait in waits if wait is not None), default=None)

    def takes_prefill(self, planned: PlannedRoute) -> bool:
        """Whether an answer that was begun can be handed in, as far as is known."""
        seen = self._seen.get(planned.route)
        return planned.capabilities.prefill and not (seen is not None and seen.prefill_refused)

    def prefill_refused(self, route: Route) -> None:
        """The route refused an answer that was begun: remember it until `reset`."""
        self._remembered(route).prefill_refused = True

    def open(self, route: Route) -> None:
        """The operator wants the route not to be asked until `reset`."""
        self._remembered(route).breaker.open("operator", self._clock())

    def reset(self, route: Route) -> None:
        """Forget what is held against the route, and the refusals of its provider's keys."""
        self._seen.pop(route, None)
        keys = self._keys.get(route.provider)
        if keys is not None:
            keys.reset()

    def status(self, route: Route) -> RouteStatus:
        """What is known of this route, be it remembered or not."""
        now = self._clock()
        return self._status(route, self._provider(route).status(now), now)

    def statuses(self, also: Iterable[Route] = ()) -> tuple[RouteStatus, ...]:
        """What is known of the routes in `also`, and of all that are remembered."""
        now = self._clock()
        routes = dict.fromkeys([*also, *self._seen])
        providers = {route.provider: self._provider(route) for route in routes}
        shared = {name: provider.status(now) for name, provider in providers.items()}
        return tuple(self._status(route, shared[route.provider], now) for route in routes)

    def _status(self, route: Route, provider: ProviderStatus, now: float) -> RouteStatus:
        seen = self._seen.get(route) or _Seen(self._settings)
        return RouteStatus(route, seen.breaker.status(now), provider, seen.prefill_refused)

    def _held_back(self, route: Route, now: float) -> Skipped | None:
        """Why the route must not be asked now; where there are two reasons, the longer one."""
        reasons = (self._breaker_skip(route, now), self._key_skip(route, now))
        return max((skip for skip in reasons if skip is not None), key=_wait, default=None)

    def _breaker_skip(self, route: Route, now: float) -> Skipped | None:
        seen = self._seen.get(route)
        if seen is None or seen.breaker.admits(now):
            return None
        status = seen.breaker.status(now)
        return Skipped(route, _SKIPS[status.reason or "failures"], status.retry_in_s)

    def _key_skip(self, route: Route, now: float) -> Skipped | None:
        keys = self._keys.get(route.provider)
        if keys is None or keys.usable(now):
            return None
        return Skipped(route, "credit" if len(keys) else "no_key", keys.retry_in_s(now))

    def _provider(self, route: Route) -> Allowance:
        name = route.provider
        if name not in self._providers:
            limits = self._limits.get(name, ProviderLimits())
            self._providers[name] = Allowance(limits, self._keys.get(name))
        return self._providers[name]

    def _remembered(self, route: Route) -> _Seen:
        if route not in self._seen:
            self._make_room()
            self._seen[route] = _Seen(self._settings)
        self._seen.move_to_end(route)
        return self._seen[route]

    def _make_room(self) -> None:
        """Forget what was asked longest ago: first where nothing is lost, then whatever it is."""
        if len(self._seen) < self._sweep_at:
            return
        now = self._clock()
        named = [item for item in self._seen.items() if item[0] not in self._configured]
        for may_go in (_Seen.is_idle, _Seen.is_ours):
            for route, seen in named:
                if len(self._seen) > ROUTES_KEPT and route in self._seen and may_go(seen, now):
                    del self._seen[route]
        self._sweep_at = len(self._seen) + _SWEEP_EVERY


def _wait(skip: Skipped) -> float:
    return math.inf if skip.retry_in_s is None else skip.retry_in_s
