"""Serves `GET /v1/responses` as a WebSocket, OpenAI's Responses in WebSocket mode."""

from quart import Blueprint, Websocket, websocket

from web.service import Service, Surface
from web.surfaces.responses.websocket.connection import ResponsesSocket
from web.turns.start import no_new_turns


def response_ws_routes(service: Service) -> Blueprint:
    """Return the blueprint of the Responses WebSocket."""
    blueprint = Blueprint("responses_ws", __name__)

    @blueprint.websocket("/v1/responses")
    async def converse() -> None:
        socket: Websocket = websocket._get_current_object()  # type: ignore[attr-defined]
        if service.registry.draining:
            raise no_new_turns()
        await socket.accept()
        await ResponsesSocket(service, socket).serve()

    return blueprint


SURFACE = Surface(response_ws_routes)
