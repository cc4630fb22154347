"""Event streams as responses: the headers they all have, and a body that a writer fills."""

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
    """A response body that is an async iterator; its owner closes what it reads from."""

    def __init__(self, parts: AsyncIterator[bytes]) -> None:
        self._parts = parts

    async def __aenter__(self) -> AsyncIterator[bytes]:
        return self._parts

    async def __aexit__(self, exc_type: type, exc_value: BaseException, tb: TracebackType) -> None:
        """Nothing to close: leases hang off the request's stack."""


def event_stream(parts: AsyncIterator[bytes], headers: dict[str, str]) -> Response:
    """A 200 whose body is this stream of events."""
    return Response(StreamBody(parts), headers=_HEADERS | headers)
