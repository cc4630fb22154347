"""Formats errors and request ids the way the requested surface's API does.

The surface is chosen by path, so that errors of the framework (404, 405, 408, 413) and crashes
have the same format as all others. On paths that Anthropic's API shares with others, and on unknown
ones, the client's `anthropic-version` header decides.
"""

from quart import Response, has_request_context, request

from actors.turn.outcome import ErrorInfo
from web.dialects.anthropic_messages.errors import error_event
from web.dialects.turn_errors import error_body
from web.server.request_id import id_in

MESSAGES = "/v1/messages"
_CLIENT_CLOSED, _OVERLOADED = 499, 529


def error_object(info: ErrorInfo) -> dict[str, object]:
    """Return the error's body on the current request's surface; Anthropic's has the request id."""
    if not from_anthropic_client():
        return error_body(info)
    return error_event(info) | {"request_id": id_in(request.scope)}


def http_status(status: int) -> int:
    """Return the status to send on the current request's surface.

    499 is for logs only; clients get 409 instead. 529 is Anthropic's; other clients get 503.
    """
    if status == _CLIENT_CLOSED:
        return 409
    return 503 if status == _OVERLOADED and not from_anthropic_client() else status


async def add_request_id(response: Response) -> Response:
    """Add the request's id in the header from which the surface's SDKs read it."""
    if from_anthropic_client():
        response.headers["request-id"] = id_in(request.scope)
    return response


def from_anthropic_client() -> bool:
    """Return True if the current request is to Anthropic's API, by its path or its header."""
    if not has_request_context():  # a WebSocket has a websocket context instead
        return False
    path = request.path
    if path == MESSAGES or path.startswith(MESSAGES + "/"):
        return True
    return "anthropic-version" in request.headers
