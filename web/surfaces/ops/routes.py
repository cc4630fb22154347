"""Serves `/health`, `/ready` and `/metrics` for operators."""

from quart import Blueprint, Response

from web.http.responses import json_response
from web.service import Service, Surface


def ops_routes(service: Service) -> Blueprint:
    """Return the blueprint of the operator endpoints."""
    blueprint = Blueprint("ops", __name__)

    @blueprint.get("/health")
    async def health() -> Response:
        return json_response({"status": "ok"})

    @blueprint.get("/ready")
    async def ready() -> Response:
        if service.registry.draining:
            return json_response({"status": "draining"}, 503, {"Retry-After": "1"})
        await service.store.database.probe()
        return json_response({"status": "ready"})

    @blueprint.get("/metrics")
    async def metrics() -> Response:
        return Response(service.metrics.exposition(), content_type=service.metrics.content_type)

    return blueprint


SURFACE = Surface(ops_routes)
