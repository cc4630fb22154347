"""Formats errors and request ids the way the requested surface's API does.

The surface is chosen by path, so that errors of the framework (404, 405, 408, 413) and crashes
have the same format as all others.
"""

from collections.abc import Callable

from quart import Response, has_request_context, request

from actors.turn.outcome import ErrorInfo
from web.dialects.anthropic_messages.errors import error_event
from web.dialects.turn_errors import error_body
from web.server.request_id import id_in

MESSAGES = "/v1/messages"


def error_format() -> Callable[[ErrorInfo], object]:
    """Return the function that builds error bodies on the current request's surface."""
    return messages_error if _is_messages() else error_body


def messages_error(info: ErrorInfo) -> dict[str, object]:
    """Return Anthropic's error object with the `request_id` of the current request."""
    id = id_in(request.scope) if has_request_context() else None
    return error_event(info) | {"request_id": id}


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
