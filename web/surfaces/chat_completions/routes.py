"""Serves `POST /v1/chat/completions`, OpenAI's Chat Completions."""

from quart import Blueprint, Response

from web.dialects.openai_chat.completion import DIALECT
from web.service import Service, Surface
from web.surfaces.chat_completions.request import read_chat_request
from web.surfaces.requests import receive, respond


def chat_routes(service: Service) -> Blueprint:
    """Return the blueprint of the chat surface."""
    blueprint = Blueprint("chat", __name__)

    @blueprint.post("/v1/chat/completions")
    async def chat_completions() -> Response:
        request = await receive(service, read_chat_request)
        return await respond(service, request, DIALECT.name)

    return blueprint


SURFACE = Surface(chat_routes, DIALECT)
