"""Serves `POST /v1/chat/completions`, OpenAI's Chat Completions."""

import trio
from quart import Blueprint, Response

from actors.turn.request import TurnRequest
from web.dialects.openai_chat.stream import NAME
from web.http.body import request_body
from web.http.json_body import READERS
from web.service import TENANT, Service
from web.surfaces.chat_completions.request import ChatRequest, receive_chat_request
from web.turns.start import answer, begin


def chat_routes(service: Service) -> Blueprint:
    """Return the blueprint of the chat surface."""
    blueprint = Blueprint("chat", __name__)
    readers = trio.CapacityLimiter(READERS)

    @blueprint.post("/v1/chat/completions")
    async def chat_completions() -> Response:
        ask = await receive_chat_request(await request_body(), readers)
        turn = await begin(service, turn_request(service, ask))
        return await answer(service, turn, stream=ask.stream)

    return blueprint


def turn_request(service: Service, ask: ChatRequest) -> TurnRequest:
    """Return the turn request of a chat request; raises `ApiError` (404) for an unknown model."""
    return service.planner.find(ask.model).turn(
        ask.call,
        model=ask.model,
        dialect=NAME,
        dialect_options={"include_usage": ask.include_usage},
        tenant_id=TENANT,
        stream=ask.stream,
        strict=ask.strict,
        keep_text=ask.keep_text,
    )
