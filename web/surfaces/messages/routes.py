"""Serves `POST /v1/messages` and `/v1/messages/count_tokens`, Anthropic's Messages.

The headers `x-api-key` and `anthropic-version` are ignored.
"""

from functools import partial

from quart import Blueprint, Response
from quart import request as http_request

from web.dialects.anthropic_messages.message import DIALECT
from web.dialects.anthropic_messages.stream import NAME
from web.http.responses import json_response
from web.service import Service, Surface
from web.surfaces.messages.request import read_betas, read_count_request, read_messages_request
from web.surfaces.requests import receive, respond
from web.turns.planner import ModelRequest


def message_routes(service: Service) -> Blueprint:
    """Return the blueprint of the Messages surface."""
    blueprint = Blueprint("messages", __name__)

    @blueprint.post("/v1/messages")
    async def messages() -> Response:
        betas = read_betas(",".join(http_request.headers.getlist("anthropic-beta")))
        request = await receive(service, partial(read_messages_request, betas=betas))
        return await respond(service, request, NAME)

    @blueprint.post("/v1/messages/count_tokens")
    async def count_tokens() -> Response:
        request = await receive(service, read_count_request)
        return json_response({"input_tokens": count(service, request)})

    return blueprint


def count(service: Service, request: ModelRequest) -> int:
    """Estimate the input tokens on the model's first route, without images."""
    route = service.planner.find(request.model).routes[0].route
    return service.estimates.estimate_input(str(route), request.call)


SURFACE = Surface(message_routes, DIALECT)
