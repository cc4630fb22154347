"""Serves `/v1/models`, the list of model names that requests may use."""

from quart import Blueprint, Response

from web.http.api_error import not_found
from web.http.responses import json_response
from web.service import Service, Surface


def model_routes(service: Service) -> Blueprint:
    """Return the blueprint of the model list."""
    blueprint = Blueprint("models", __name__)
    since = int(service.now())

    def described(name: str) -> dict[str, object]:
        return {"id": name, "object": "model", "created": since, "owned_by": "trouper"}

    @blueprint.get("/v1/models")
    async def models() -> Response:
        return json_response(
            {"object": "list", "data": [described(name) for name in service.planner.names]}
        )

    @blueprint.get("/v1/models/<path:name>")
    async def model(name: str) -> Response:
        if name not in service.planner.names:
            raise not_found(f"Unknown model {name[:200]!r}.", code="model_not_found")
        return json_response(described(name))

    return blueprint


SURFACE = Surface(model_routes)
