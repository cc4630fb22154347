"""Responses with an event stream: common headers, and a body that an async iterator fills."""

from collections.abc import AsyncIterator
from types import TracebackType

from quart import Response
from quart.wrappers.response import ResponseBody

_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}


class StreamBody(ResponseBody):
    """A response body over an async iterator, which the caller closes."""

    def __init__(self, parts: AsyncIterator[bytes]) -> None:
        self._parts = parts

    async def __aenter__(self) -> AsyncIterator[bytes]:
        return self._parts

    async def __aexit__(self, exc_type: type, exc_value: BaseException, tb: TracebackType) -> None:
        """Do nothing: leases are closed by the request's exit stack."""


def event_stream(parts: AsyncIterator[bytes], headers: dict[str, str]) -> Response:
    """Return a 200 response that streams `parts`."""
    return Response(StreamBody(parts), headers=_HEADERS | headers)
