"""JSON representation of routes for operators."""

from collections.abc import Sequence

import msgspec

from actors.routing.route_board import RouteStatus
from actors.turn.model_call import Route
from web.config import Config


def models_by_route(config: Config) -> dict[Route, list[str]]:
    """Return the configured routes in the order of the file, each with the models that use it."""
    found: dict[Route, list[str]] = {}
    for name, model in config.models.items():
        for route in dict.fromkeys(entry.route for entry in model.routes):
            found.setdefault(route, []).append(name)
    return found


def route_json(status: RouteStatus, models: Sequence[str]) -> dict[str, object]:
    """Return a route and its breaker; fields from `requests_last_minute` on are the provider's."""
    route, breaker, provider = status.route, status.breaker, status.provider
    return {
        "route": str(route),
        "object": "route",
        "provider": route.provider,
        "model": route.upstream_model,
        "models": models,
        "state": breaker.state,
        "reason": breaker.reason,
        "failures": breaker.failures,
        "retry_in_s": None if breaker.retry_in_s is None else round(breaker.retry_in_s, 3),
        "prefill_refused": status.prefill_refused,
        "requests_last_minute": provider.usage.requests,
        "tokens_last_minute": provider.usage.tokens,
        "hot": provider.hot,
        "in_flight": provider.in_flight,
        "keys": provider.keys and msgspec.structs.asdict(provider.keys),
    }
