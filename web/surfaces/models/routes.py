"""Serves `/v1/models`, the names of the models that requests may use.

Clients of Anthropic's API, which send `anthropic-version`, get its objects and pages; all others
get OpenAI's. Sources: the API references, "List models".
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from quart import Blueprint, Response, request

from web.http.api_error import not_found
from web.http.body import limit_parameter
from web.http.error_format import from_anthropic_client
from web.http.responses import json_response
from web.service import Service, Surface
from web.surfaces.validation import wrong

DEFAULT_LIMIT = 20
MAX_LIMIT = 1000


def model_routes(service: Service) -> Blueprint:
    """Return the blueprint of the model list."""
    blueprint = Blueprint("models", __name__)
    since = service.now()

    def described(name: str) -> dict[str, object]:
        if from_anthropic_client():
            return _anthropic_model(name, since)
        return {"id": name, "object": "model", "created": int(since), "owned_by": "trouper"}

    @blueprint.get("/v1/models")
    async def models() -> Response:
        names = service.planner.names
        if not from_anthropic_client():
            return json_response({"object": "list", "data": [described(name) for name in names]})
        shown, has_more = _page(names)
        ends = {"first_id": shown[0], "last_id": shown[-1]} if shown else {}
        data = [described(name) for name in shown]
        page = {"data": data, "has_more": has_more, "first_id": None, "last_id": None}
        return json_response(page | ends)

    @blueprint.get("/v1/models/<path:name>")
    async def model(name: str) -> Response:
        if not service.planner.knows(name):
            raise not_found(f"Unknown model {name[:200]!r}.", code="model_not_found")
        return json_response(described(name))

    return blueprint


def _anthropic_model(name: str, since: float) -> dict[str, object]:
    created = datetime.fromtimestamp(int(since), UTC).isoformat().replace("+00:00", "Z")
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": created,
        "lifecycle": "active",
    }


def _page(names: Sequence[str]) -> tuple[Sequence[str], bool]:
    """Return the page that the request asks for, and True if there is another behind it.

    Pages with a `before_id` go backwards. Raises `ApiError` (400).
    """
    limit = limit_parameter(DEFAULT_LIMIT, MAX_LIMIT)
    after, before = request.args.get("after_id"), request.args.get("before_id")
    start = 0 if after is None else _index(names, after, "after_id") + 1
    end = len(names) if before is None else _index(names, before, "before_id")
    rest = names[start:end]
    backwards = before is not None and after is None
    return rest[-limit:] if backwards else rest[:limit], len(rest) > limit


def _index(names: Sequence[str], id: str, parameter: str) -> int:
    if id not in names:
        raise wrong(parameter, f"there is no model {id[:200]!r} in this list.")
    return names.index(id)


SURFACE = Surface(model_routes)
