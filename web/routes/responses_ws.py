"""`GET /v1/responses` as a WebSocket: turns in the dialect of OpenAI's Responses."""

from urllib.parse import urlsplit

import trio
from quart import Blueprint, Websocket, websocket

from actors.outcome import ErrorInfo
from web.errors import ApiError
from web.json_body import READERS
from web.playing import no_new_turns
from web.responses.ws import ResponsesSocket
from web.service import Service


def response_ws_routes(service: Service) -> Blueprint:
    """The blueprint of the Responses WebSocket."""
    blueprint = Blueprint("responses_ws", __name__)
    threads = trio.CapacityLimiter(READERS)

    @blueprint.websocket("/v1/responses")
    async def converse() -> None:
        socket: Websocket = websocket._get_current_object()  # type: ignore[attr-defined]
        check_origin(socket)
        if service.registry.draining:
            raise no_new_turns()
        await socket.accept()
        await ResponsesSocket(service, socket, threads).serve()

    return blueprint


def check_origin(socket: Websocket) -> None:
    """Raises `ApiError` (403) where a page of another site opened the socket.

    Browsers let every page open sockets to everywhere and read what comes, as they do not with
    requests; and they always say which site the page is of.
    """
    origin = socket.headers.get("Origin")
    if origin is None or _host_of(origin) == socket.headers.get("Host", "").lower():
        return
    text = f"Pages of {origin[:200]!r} may not use this server."
    kind = "invalid_request_error"
    raise ApiError(ErrorInfo(status=403, message=text, type=kind, code="origin_not_allowed"))


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None
