"""Route board: decides which routes may be called now and keeps the state of each.

One board serves all turns of a process. Its decisions never wait; only the
providers' gates (`actors.routing.concurrency_gate`) do.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from actors.routing.breaker import Breaker, BreakerSettings, BreakerStatus, Permit
from actors.routing.concurrency_gate import ConcurrencyGate
from actors.routing.key_ring import KeyRing
from actors.routing.provider_limits import ProviderLimits, ProviderState, ProviderStatus
from actors.routing.requirements import Requirements, missing_capability
from actors.turn.model_call import Route
from actors.turn.request import PlannedRoute

ROUTES_KEPT = 1000
"""Number of routes kept after a sweep.

Clients can name routes directly, so the number must be bounded. Configured routes and those that an
operator opened are never dropped.
"""
_SWEEP_EVERY = 100
"""Number of new routes between two sweeps, since a sweep visits every route."""


class Skipped(Struct, frozen=True):
    """A route that is passed over."""

    route: Route
    reason: str
    """`breaker_open`, `credit`, `operator`, `no_key`, or the reason why the route is unfit."""
    retry_in_s: float | None = None
    """Seconds until the route may be called, or None if waiting doesn't help."""


class RouteChoice(Struct, frozen=True):
    """Routes to try, in order, and routes that are passed over."""

    open: tuple[PlannedRoute, ...]
    skipped: tuple[Skipped, ...]
    retry_in_s: float | None = None
    """Seconds until a skipped route may be called, if there is no route to try."""
    last_resort: bool = False
    """True if the breakers of all usable routes are open; `open` has the one that is due first."""


class RouteStatus(Struct, frozen=True):
    """State of a route and of its provider."""

    route: Route
    breaker: BreakerStatus
    provider: ProviderStatus
    prefill_refused: bool


class _RouteState:
    """State kept for a route."""

    __slots__ = ("breaker", "prefill_refused")

    def __init__(self, breaker: Breaker) -> None:
        self.breaker = breaker
        self.prefill_refused = False

    def is_idle(self, now: float) -> bool:
        """Return True if dropping the state loses nothing."""
        status = self.breaker.status(now)
        return status.state == "closed" and not status.failures and not self.prefill_refused

    def is_automatic(self, now: float) -> bool:
        """Return True unless an operator opened the breaker."""
        return self.breaker.status(now).reason != "operator"


class RouteBoard:
    """State of all routes: breakers by route; rate windows, gates and keys by provider.

    `limits` and `keys` are keyed by provider name. A provider without an entry has no limits, or
    takes no key. The key rings are shared with the providers, which report refused keys to them.
    `clock` returns monotonic seconds, like trio's. The state of `configured` routes is never
    dropped. `on_change` is called when calls open or close the breaker of a route.
    """

    def __init__(
        self,
        settings: BreakerSettings,
        limits: Mapping[str, ProviderLimits],
        keys: Mapping[str, KeyRing],
        clock: Callable[[], float],
        configured: Iterable[Route] = (),
        on_change: Callable[[Route, BreakerStatus], None] = lambda route, status: None,
    ) -> None:
        self._settings = settings
        self._limits = limits
        self._keys = keys
        self._clock = clock
        self._configured = frozenset(configured)
        self._on_change = on_change
        self._providers: dict[str, ProviderState] = {}
        self._states: OrderedDict[Route, _RouteState] = OrderedDict()
        """States by route, the most recently used last."""
        self._sweep_at = ROUTES_KEPT + _SWEEP_EVERY

    def choose(self, routes: Sequence[PlannedRoute], needs: Requirements) -> RouteChoice:
        """Split off the routes that must not be called, and move those near a limit to the end.

        A route is skipped if it lacks a capability in `needs`, its breaker is open or its
        provider has no usable key. If that leaves none, one whose breaker is open is a last resort.
        """
        now = self._clock()
        can: list[PlannedRoute] = []
        skipped: list[Skipped] = []
        for planned in routes:
            lack = planned.unfit or missing_capability(needs, planned.capabilities)
            skip = Skipped(planned.route, lack) if lack else self._skip(planned.route, now)
            if skip is None:
                can.append(planned)
            else:
                skipped.append(skip)
        if can:
            can.sort(key=lambda planned: self._provider(planned.route).capacity.hot(now))
            return RouteChoice(tuple(can), tuple(skipped))
        resting = {skip.route for skip in skipped if skip.reason == "breaker_open"}
        due = min(resting, key=lambda route: self._states[route].breaker.due_at(), default=None)
        if due is None or not self._states[due].breaker.admits(now, last_resort=True):
            return RouteChoice((), tuple(skipped), self.retry_in_s(routes))
        first = next(planned for planned in routes if planned.route == due)
        others = tuple(skip for skip in skipped if skip.route != due)
        return RouteChoice((first,), others, last_resort=True)

    def enter(self, route: Route, *, last_resort: bool = False) -> Permit | Skipped:
        """Begin an attempt, or return the reason why the route must not be called.

        The state may have changed since `choose`, whose `last_resort` it takes. The attempt counts
        as a request. Acquire a slot of the route's `gate` first.
        """
        now = self._clock()
        skip = self._skip(route, now, last_resort=last_resort)
        if skip is not None:
            return skip
        permit = self._state(route).breaker.admit(now, last_resort=last_resort)
        assert permit is not None, "a route without a reason to skip it is admitted"  # noqa: S101
        self._provider(route).capacity.note_request(now)
        return permit

    def gate(self, route: Route) -> ConcurrencyGate:
        """Return the concurrency gate of the route's provider."""
        return self._provider(route).gate

    def note_tokens(self, route: Route, tokens: int) -> None:
        """Count `tokens` as used at the route's provider."""
        self._provider(route).capacity.note_tokens(self._clock(), tokens)

    def retry_in_s(self, routes: Iterable[PlannedRoute]) -> float | None:
        """Return the seconds until the first skipped route may be called, or None for never."""
        now = self._clock()
        skips = (self._skip(planned.route, now) for planned in routes if planned.unfit is None)
        waits = (skip.retry_in_s for skip in skips if skip is not None)
        return min((wait for wait in waits if wait is not None), default=None)

    def takes_prefill(self, planned: PlannedRoute) -> bool:
        """Return True if the route is expected to continue a trailing assistant message."""
        state = self._states.get(planned.route)
        return planned.capabilities.prefill and not (state is not None and state.prefill_refused)

    def prefill_refused(self, route: Route) -> None:
        """Record until `reset` that the route refused a trailing assistant message."""
        self._state(route).prefill_refused = True

    def open(self, route: Route) -> None:
        """Take the route out of use until `reset`, on behalf of an operator."""
        self._state(route).breaker.open_as_operator()

    def reset(self, route: Route) -> None:
        """Clear the state of the route and the refusals of its provider's keys."""
        self._states.pop(route, None)
        keys = self._keys.get(route.provider)
        if keys is not None:
            keys.reset()

    def status(self, route: Route) -> RouteStatus:
        """Return the status of the route, which may be unknown so far."""
        now = self._clock()
        return self._route_status(route, self._provider(route).status(now), now)

    def statuses(self, also: Iterable[Route] = ()) -> tuple[RouteStatus, ...]:
        """Return the status of the routes in `also` and of all known routes."""
        now = self._clock()
        routes = dict.fromkeys([*also, *self._states])
        providers = {route.provider: self._provider(route) for route in routes}
        shared = {name: provider.status(now) for name, provider in providers.items()}
        return tuple(self._route_status(route, shared[route.provider], now) for route in routes)

    def _route_status(self, route: Route, provider: ProviderStatus, now: float) -> RouteStatus:
        state = self._states.get(route) or _RouteState(Breaker(self._settings))
        breaker, skip = state.breaker.status(now), self._key_skip(route, now)
        if skip is not None and skip.reason == "credit" and breaker.reason != "operator":
            breaker = replace(breaker, state="open", reason="credit", retry_in_s=skip.retry_in_s)
        return RouteStatus(route, breaker, provider, state.prefill_refused)

    def _skip(self, route: Route, now: float, *, last_resort: bool = False) -> Skipped | None:
        """Return the reason to skip the route now; of two reasons the one that lasts longer."""
        reasons = (self._breaker_skip(route, now, last_resort), self._key_skip(route, now))
        return max((skip for skip in reasons if skip is not None), key=_wait, default=None)

    def _breaker_skip(self, route: Route, now: float, last_resort: bool) -> Skipped | None:
        state = self._states.get(route)
        if state is None or state.breaker.admits(now, last_resort=last_resort):
            return None
        # A client that comes back after this time finds the route due as a last resort.
        wait_s = max(0.0, state.breaker.last_resort_at() - now)
        if math.isinf(wait_s):
            return Skipped(route, "operator")
        return Skipped(route, "breaker_open", wait_s)

    def _key_skip(self, route: Route, now: float) -> Skipped | None:
        keys = self._keys.get(route.provider)
        if keys is None or keys.usable(now):
            return None
        return Skipped(route, "credit" if len(keys) else "no_key", keys.retry_in_s(now))

    def _provider(self, route: Route) -> ProviderState:
        name = route.provider
        if name not in self._providers:
            limits = self._limits.get(name, ProviderLimits())
            self._providers[name] = ProviderState(limits, self._keys.get(name))
        return self._providers[name]

    def _state(self, route: Route) -> _RouteState:
        """Return the state of the route, created if needed, and mark it as used."""
        if route not in self._states:
            self._make_room()
            breaker = Breaker(self._settings, partial(self._on_change, route))
            self._states[route] = _RouteState(breaker)
        self._states.move_to_end(route)
        return self._states[route]

    def _make_room(self) -> None:
        """Drop the least recently used states, idle ones first; keep those an operator opened."""
        if len(self._states) < self._sweep_at:
            return
        now = self._clock()
        droppable = [item for item in self._states.items() if item[0] not in self._configured]
        for may_drop in (_RouteState.is_idle, _RouteState.is_automatic):
            for route, state in droppable:
                if len(self._states) <= ROUTES_KEPT:
                    break
                if route in self._states and may_drop(state, now):
                    del self._states[route]
        self._sweep_at = len(self._states) + _SWEEP_EVERY


def _wait(skip: Skipped) -> float:
    return math.inf if skip.retry_in_s is None else skip.retry_in_s
