"""JSON responses, errors among them; encoded once, by the fastest encoder there is."""

import math
from collections.abc import Callable

import msgspec
from quart import Response

from actors.outcome import ErrorInfo
from web.errors import error_body

_encode = msgspec.json.Encoder().encode


def json_response(
    body: object, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """`body` as JSON."""
    return Response(_encode(body), status=status, headers=headers, content_type="application/json")


def error_response(
    info: ErrorInfo,
    headers: dict[str, str] | None = None,
    body: Callable[[ErrorInfo], object] = error_body,
) -> Response:
    """The error with its status; `Retry-After` where it says when to come back."""
    headers = (headers or {}) | retry_header(info)
    return json_response(body(info), http_status(info.status), headers)


def retry_header(info: ErrorInfo) -> dict[str, str]:
    """The header that says when to come back, where that is known."""
    if info.retry_after_s is None:
        return {}
    return {"Retry-After": str(max(1, math.ceil(info.retry_after_s)))}


def http_status(status: int) -> int:
    """What a client is told; 499 is a note for logs, not a status to send."""
    return 409 if status == 499 else status
