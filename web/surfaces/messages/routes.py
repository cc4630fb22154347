"""Serves `POST /v1/messages` and `/v1/messages/count_tokens`, Anthropic's Messages.

The headers `x-api-key` and `anthropic-version` are ignored.
"""

import trio
from quart import Blueprint, Response
from quart import request as http_request

from actors.turn.request import TurnRequest
from store.records.turn_records import Principal
from web.dialects.anthropic_messages.message import DIALECT
from web.dialects.anthropic_messages.stream import NAME
from web.http.body import request_body
from web.http.json_body import READERS
from web.http.responses import json_response
from web.service import Service, Surface
from web.surfaces.messages.request import (
    MessagesRequest,
    receive_count_request,
    receive_messages_request,
)
from web.turns.start import answer, begin


def message_routes(service: Service) -> Blueprint:
    """Return the blueprint of the Messages surface."""
    blueprint = Blueprint("messages", __name__)
    readers = trio.CapacityLimiter(READERS)

    @blueprint.post("/v1/messages")
    async def messages() -> Response:
        request = await receive_messages_request(await request_body(), readers)
        principal = service.principal_of(http_request.headers)
        turn = await begin(service, turn_request(service, request, principal))
        return await answer(service, turn, stream=request.stream)

    @blueprint.post("/v1/messages/count_tokens")
    async def count_tokens() -> Response:
        request = await receive_count_request(await request_body(), readers)
        return json_response({"input_tokens": count(service, request)})

    return blueprint


def turn_request(service: Service, request: MessagesRequest, principal: Principal) -> TurnRequest:
    """Return the turn request of a request; raises `ApiError` (404) for an unknown model."""
    return service.planner.find(request.model).turn(
        request.call,
        model=request.model,
        dialect=NAME,
        dialect_options={},
        principal=principal,
        stream=request.stream,
        strict=request.strict,
    )


def count(service: Service, request: MessagesRequest) -> int:
    """Estimate the input tokens on the model's first route, without images."""
    route = service.planner.find(request.model).routes[0].route
    return service.estimates.estimate_input(str(route), request.call)


SURFACE = Surface(message_routes, DIALECT)
