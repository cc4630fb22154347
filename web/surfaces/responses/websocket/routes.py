"""Serves `GET /v1/responses` as a WebSocket, OpenAI's Responses in WebSocket mode."""

from urllib.parse import urlsplit

from quart import Blueprint, Websocket, websocket

from web.http.api_error import invalid
from web.service import Service, Surface
from web.surfaces.responses.websocket.connection import ResponsesSocket
from web.turns.start import no_new_turns


def response_ws_routes(service: Service) -> Blueprint:
    """Return the blueprint of the Responses WebSocket."""
    blueprint = Blueprint("responses_ws", __name__)

    @blueprint.websocket("/v1/responses")
    async def converse() -> None:
        socket: Websocket = websocket._get_current_object()  # type: ignore[attr-defined]
        check_origin(socket)
        if service.registry.draining:
            raise no_new_turns()
        await socket.accept()
        await ResponsesSocket(service, socket).serve()

    return blueprint


def check_origin(socket: Websocket) -> None:
    """Raise `ApiError` (403) if a web page of another origin opened the socket.

    The same-origin policy of browsers does not cover WebSockets: any page can open one and read
    from it. But browsers always send the `Origin` of the page.
    """
    origin = socket.headers.get("Origin")
    if origin is None or _host_of(origin) == socket.headers.get("Host", "").lower():
        return
    text = f"Web pages of the origin {origin[:200]!r} may not use this server."
    raise invalid(text, code="origin_not_allowed", status=403)


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


SURFACE = Surface(response_ws_routes)
