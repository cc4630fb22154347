"""JSON responses, errors among them; encoded once, by the fastest encoder there is."""

import math
from collections.abc import Callable

import msgspec
import trio
from quart import Response

from actors.heavy import encoded, off_loop
from actors.outcome import ErrorInfo, Reason
from web.errors import error_body

_encode = msgspec.json.Encoder().encode


def json_response(
    body: object, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """`body` as JSON."""
    return encoded_response(_encode(body), status, headers)


async def made_response(
    make: Callable[[], object],
    headers: dict[str, str],
    *,
    long: bool,
    threads: trio.CapacityLimiter,
) -> Response:
    """What `make` returns as JSON; if that is `long`, it is made and encoded in a thread."""
    if not long:
        return json_response(make(), headers=headers)
    body = await off_loop(long, threads, lambda: encoded(make()))
    return encoded_response(body, headers=headers)


def encoded_response(
    body: bytes, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """A body that is JSON already."""
    return Response(body, status=status, headers=headers, content_type="application/json")


def error_response(
    info: ErrorInfo,
    headers: dict[str, str] | None = None,
    body: Callable[[ErrorInfo], object] = error_body,
) -> Response:
    """The error with its status, and whether and when to ask again."""
    headers = (headers or {}) | retry_header(info)
    return json_response(body(info), http_status(info.status), headers)


def retry_header(info: ErrorInfo) -> dict[str, str]:
    """The header that says when to come back, where that is known; or that it makes no sense.

    The official SDKs ask again after any 409, and so would have played what somebody cancelled.
    """
    if info.code == Reason.CANCEL_REQUESTED:
        return {"x-should-retry": "false"}
    if info.retry_after_s is None:
        return {}
    return {"Retry-After": str(max(1, math.ceil(info.retry_after_s)))}


def http_status(status: int) -> int:
    """What a client is told; 499 is a note for logs, not a status to send."""
    return 409 if status == 499 else status
