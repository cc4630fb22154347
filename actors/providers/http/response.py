"""Body of a response on its connection: read, then the connection is kept or closed.

The deadlines of httpx requests, which the body and the transport share, are here too.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import httpx
import trio

from actors.providers.http.body import Body
from actors.providers.http.connection import Wire

_MAX_ERROR_BODY = 65536
_ERROR_BODY_S = 2.0
"""Seconds to wait for the body of an error response; the status alone is useful too."""


class ResponseBody(httpx.AsyncByteStream):
    """A response's body. `receive` is fast; httpx uses the slower async iteration."""

    def __init__(
        self,
        wire: Wire,
        body: Body,
        rest: bytes,
        finish: Callable[[bool], None],
        *,
        read_s: float | None,
    ) -> None:
        self._wire = wire
        self._body = body
        self._ready = body.feed(rest) if rest else b""
        self._finish = finish
        self._read_s = read_s
        self._open = True

    async def receive(self) -> bytes:
        """Return the payload of the next read, or `b""` at the end.

        Raises `httpx.ReadError` or `httpx.RemoteProtocolError` if the body is cut off.
        """
        if self._ready:
            ready, self._ready = self._ready, b""
            return ready
        if not self._open:
            raise httpx.StreamClosed
        body = self._body
        while not body.complete:
            if body.broken is not None:
                raise body.broken
            if self._read_s is None:
                data = await self._wire.receive()
            else:
                with fail_after(self._read_s, httpx.ReadTimeout):
                    data = await self._wire.receive()
            if not data:
                body.end()
            elif payload := body.feed(data):
                return payload
        return b""

    def release(self, *, saw_end_marker: bool = False) -> None:
        """Keep the connection if the body is complete, else close it at once.

        If the end marker of the answer has been read, the end of the body may still be to come: the
        pool reads it before reuse.
        """
        body = self._body
        self._finish_with(keep=body.clean and (saw_end_marker or body.complete))

    def close(self) -> None:
        """Close the connection before returning."""
        self._finish_with(keep=False)

    def _finish_with(self, *, keep: bool) -> None:
        if self._open:
            self._open = False
            self._finish(keep)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self.receive():
            yield data

    async def aclose(self) -> None:
        """Do the same as `release`; httpx calls it."""
        self.release()


async def read_beginning(body: ResponseBody) -> bytes:
    """Read the beginning of an error's body, at most 64 KiB within 2 s, and finish the body."""
    parts: list[bytes] = []
    size = 0
    try:
        with trio.move_on_after(_ERROR_BODY_S):
            while size < _MAX_ERROR_BODY and (data := await body.receive()):
                parts.append(data)
                size += len(data)
    except httpx.TransportError:
        pass  # the status alone is useful too
    finally:
        body.release()
    return b"".join(parts)[:_MAX_ERROR_BODY]


def seconds(request: httpx.Request, kind: str) -> float | None:
    """Return the request's timeout for `connect`, `read` or `write`, or None if it has none."""
    timeout: dict[str, float | None] = request.extensions.get("timeout", {})
    return timeout.get(kind)


def deadline(
    request: httpx.Request, kind: str, failure: type[httpx.TimeoutException]
) -> AbstractContextManager[None]:
    """Limit a block to the request's timeout of that kind, if any."""
    limit = seconds(request, kind)
    return nullcontext() if limit is None else fail_after(limit, failure)


@contextmanager
def fail_after(limit: float, failure: type[httpx.TimeoutException]) -> Iterator[None]:
    """Limit a block to `limit` seconds; raise `failure` if it takes longer."""
    with trio.move_on_after(limit) as scope:
        yield
    if scope.cancelled_caught:
        raise failure(f"no progress for {limit:g} s")
