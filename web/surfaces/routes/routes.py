"""Serves `/v1/routes`: the state of the routes as JSON, and opening or resetting one by hand."""

from collections.abc import Sequence

import msgspec
import structlog
from quart import Blueprint, Response

from actors.routing.route_board import RouteStatus
from actors.turn.model_call import Route
from web.http.api_error import invalid, not_found
from web.http.responses import json_response
from web.providers.factory import models_by_route
from web.service import Service, Surface
from web.surfaces.validation import LONGEST_NAME

_NAMES_SHOWN = 50

_log = structlog.get_logger("trouper.routes")


def routes_routes(service: Service) -> Blueprint:
    """Return the blueprint of the route resource."""
    blueprint = Blueprint("routes", __name__)
    board = service.board
    models = models_by_route(service.config)

    def shown(route: Route) -> Response:
        return json_response(route_json(board.status(route), models.get(route, ())))

    @blueprint.get("/v1/routes")
    async def routes() -> Response:
        statuses = board.statuses(models)
        return json_response({"data": [route_json(s, models.get(s.route, ())) for s in statuses]})

    # `path` and not the default converter: model names may contain slashes, even two in a row.
    @blueprint.post("/v1/routes/<provider>/<path:model>/open")
    async def open(provider: str, model: str) -> Response:
        route = _route(service, provider, model)
        board.open(route)
        _log.warning("route opened by operator", route=str(route))
        return shown(route)

    @blueprint.post("/v1/routes/<provider>/<path:model>/reset")
    async def reset(provider: str, model: str) -> Response:
        route = _route(service, provider, model)
        board.reset(route)
        _log.info("route reset by operator", route=str(route))
        return shown(route)

    return blueprint


def _route(service: Service, provider: str, model: str) -> Route:
    providers = service.config.providers
    if provider not in providers:
        known = ", ".join(list(providers)[:_NAMES_SHOWN])
        text = f"There is no provider {provider[:200]!r}. The providers are: {known}."
        raise not_found(text, code="provider_not_found", param="provider")
    if len(model) > LONGEST_NAME:
        text = f"A model name may have at most {LONGEST_NAME} characters."
        raise invalid(text, param="model", code="name_too_long")
    return Route(provider, model)


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
        "calls": breaker.calls,
        "retry_in_s": None if breaker.retry_in_s is None else round(breaker.retry_in_s, 3),
        "prefill_refused": status.prefill_refused,
        "requests_last_minute": provider.usage.requests,
        "tokens_last_minute": provider.usage.tokens,
        "hot": provider.hot,
        "in_flight": provider.in_flight,
        "keys": provider.keys and msgspec.structs.asdict(provider.keys),
    }


SURFACE = Surface(routes_routes)
