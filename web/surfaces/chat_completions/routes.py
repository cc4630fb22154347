"""Serves `POST /v1/chat/completions`, OpenAI's Chat Completions."""

import trio
from quart import Blueprint, Response
from quart import request as http_request

from actors.turn.request import TurnRequest
from store.records.turn_records import Principal
from web.dialects.openai_chat.completion import DIALECT
from web.dialects.openai_chat.stream import NAME
from web.http.body import request_body
from web.http.json_body import READERS
from web.service import Service, Surface
from web.surfaces.chat_completions.request import ChatRequest, receive_chat_request
from web.turns.start import answer, begin


def chat_routes(service: Service) -> Blueprint:
    """Return the blueprint of the chat surface."""
    blueprint = Blueprint("chat", __name__)
    readers = trio.CapacityLimiter(READERS)

    @blueprint.post("/v1/chat/completions")
    async def chat_completions() -> Response:
        request = await receive_chat_request(await request_body(), readers)
        principal = service.principal_of(http_request.headers)
        turn = await begin(service, turn_request(service, request, principal))
        return await answer(service, turn, stream=request.stream)

    return blueprint


def turn_request(service: Service, request: ChatRequest, principal: Principal) -> TurnRequest:
    """Return the turn request of a chat request; raises `ApiError` (404) for an unknown model."""
    return service.planner.find(request.model).turn(
        request.call,
        model=request.model,
        dialect=NAME,
        dialect_options={"include_usage": request.include_usage},
        principal=principal,
        stream=request.stream,
        strict=request.strict,
        keep_text=request.keep_text,
    )


SURFACE = Surface(chat_routes, DIALECT)
