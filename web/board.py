"""Builds the route board from the configuration."""

from collections.abc import Callable, Mapping

from actors.routing.breaker import BreakerSettings
from actors.routing.key_ring import KeyRing
from actors.routing.provider_limits import ProviderLimits
from actors.routing.route_board import RouteBoard
from web.config import Config
from web.route_json import models_by_route


def make_board(
    config: Config, rings: Mapping[str, KeyRing], clock: Callable[[], float]
) -> RouteBoard:
    """Return the board with breakers, limits and keys of all routes. `clock` must be monotonic."""
    breaker = BreakerSettings(**config.breaker.model_dump())
    limits = {
        name: ProviderLimits(**settings.limits.model_dump())
        for name, settings in config.providers.items()
    }
    return RouteBoard(breaker, limits, rings, clock, models_by_route(config))
