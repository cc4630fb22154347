"""Errors of surfaces whose API has an error object, and a request's id, in a shape of its own.

Which surface it is is told by the path, so that errors of the framework (404, 405, 408, 413) and
crashes look like all others there.
"""

from collections.abc import Callable

from quart import Response, has_request_context, request

from actors.outcome import ErrorInfo
from web.dialects.messages_errors import error_event
from web.errors import error_body
from web.server.request_id import id_in

MESSAGES = "/v1/messages"


def error_shape() -> Callable[[ErrorInfo], object]:
    """What the body of an error is made with on the surface of the current request."""
    return messages_error if _is_messages() else error_body


def messages_error(info: ErrorInfo) -> dict[str, object]:
    """Anthropic's error object; `request_id` is that of the current request."""
    id = id_in(request.scope) if has_request_context() else None
    return error_event(info) | {"request_id": id}


async def name_request(response: Response) -> Response:
    """Give the request's id also in the header in which the surface's SDKs look for it."""
    if _is_messages():
        response.headers["request-id"] = id_in(request.scope)
    return response


def _is_messages() -> bool:
    if not has_request_context():  # a WebSocket has a context of its own
        return False
    path = request.path
    return path == MESSAGES or path.startswith(MESSAGES + "/")
