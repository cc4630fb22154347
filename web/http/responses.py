"""JSON responses and error responses, encoded with msgspec, and event streams."""

import math
from collections.abc import AsyncIterator, Callable

import msgspec
import trio
from quart import Response
from quart.wrappers.response import ResponseBody

from actors.runtime.json_pieces import encoded
from actors.runtime.offload import off_loop
from actors.turn.outcome import ErrorInfo, Reason
from web.http.error_format import error_object, http_status

_encode = msgspec.json.Encoder().encode

_STREAM_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}


def json_response(
    body: object, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Return a response with `body` as JSON."""
    return encoded_response(_encode(body), status, headers)


async def offloaded_response(
    make: Callable[[], object],
    headers: dict[str, str],
    *,
    long: bool,
    threads: trio.CapacityLimiter,
) -> Response:
    """Return the result of `make` as JSON; if `long`, make and encode it in a thread."""
    if not long:
        return json_response(make(), headers=headers)
    body = await off_loop(long, threads, lambda: encoded(make()))
    return encoded_response(body, headers=headers)


def encoded_response(
    body: bytes, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Return a response whose body is already encoded JSON."""
    return Response(body, status=status, headers=headers, content_type="application/json")


def error_response(info: ErrorInfo, headers: dict[str, str] | None = None) -> Response:
    """Return the error in the surface's format, with its status and retry header."""
    headers = (headers or {}) | retry_header(info)
    return json_response(error_object(info), http_status(info.status), headers)


def retry_header(info: ErrorInfo) -> dict[str, str]:
    """Return the `Retry-After` headers if the delay is known, or `x-should-retry: false`.

    The official SDKs retry after any 409, and would so run a cancelled turn again. They read
    `retry-after-ms` first.
    """
    if info.code == Reason.CANCEL_REQUESTED:
        return {"x-should-retry": "false"}
    if info.retry_after_s is None:
        return {}
    headers = {"Retry-After": str(max(1, math.ceil(info.retry_after_s)))}
    if info.retry_after_s % 1:
        headers["Retry-After-Ms"] = str(math.ceil(info.retry_after_s * 1000))
    return headers


class StreamBody(ResponseBody):
    """A response body over an async iterator, which the caller closes."""

    def __init__(self, parts: AsyncIterator[bytes]) -> None:
        self._parts = parts

    async def __aenter__(self) -> AsyncIterator[bytes]:
        return self._parts

    async def __aexit__(self, *_: object) -> None:
        """Do nothing: leases are closed by the request's exit stack."""


def event_stream(parts: AsyncIterator[bytes], headers: dict[str, str]) -> Response:
    """Return a 200 response that streams `parts`."""
    return Response(StreamBody(parts), headers=_STREAM_HEADERS | headers)
