"""Formats errors and request ids the way the requested surface's API does.

The surface is chosen by path, so that errors of the framework (404, 405, 408, 413) and crashes
have the same format as all others.
"""

from quart import Response, has_request_context, request

from actors.turn.outcome import ErrorInfo
from web.dialects.anthropic_messages.errors import error_event
from web.dialects.turn_errors import error_body
from web.server.request_id import id_in

MESSAGES = "/v1/messages"


def error_object(info: ErrorInfo) -> dict[str, object]:
    """Return the error's body on the current request's surface; Anthropic's has the request id."""
    if not _is_messages():
        return error_body(info)
    return error_event(info) | {"request_id": id_in(request.scope)}


async def add_request_id(response: Response) -> Response:
    """Add the request's id in the header from which the surface's SDKs read it."""
    if _is_messages():
        response.headers["request-id"] = id_in(request.scope)
    return response


def _is_messages() -> bool:
    if not has_request_context():  # a WebSocket has a websocket context instead
        return False
    path = request.path
    return path == MESSAGES or path.startswith(MESSAGES + "/")
