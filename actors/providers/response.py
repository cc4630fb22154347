"""The body of a response on its connection: read, then kept or closed."""

from collections.abc import AsyncIterator, Callable

import httpx
import trio

from actors.providers.body import Body
from actors.providers.deadlines import fail_after
from actors.providers.wire import Wire

_MAX_ERROR_BODY = 65536
_ERROR_BODY_S = 2.0
"""How long the body of an error is waited for; its status alone is worth telling."""


class ResponseBody(httpx.AsyncByteStream):
    """A response's body; `receive` is the quick way to it, iterating the general one."""

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
        """All that the next read brings; `b""` at the end.

        Raises `httpx.ReadError` or `httpx.RemoteProtocolError` where the body is cut.
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

    def release(self) -> None:
        """Done with the body: its connection is kept, although its end may be still to come."""
        self._finish_with(keep=self._body.clean)

    def leave(self) -> None:
        """Keep the connection where the body is complete, close it at once where it is not."""
        self._finish_with(keep=self._body.complete and self._body.clean)

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
        """The same as `leave`, as httpx calls it."""
        self.leave()


async def beginning(body: ResponseBody) -> bytes:
    """What comes of an error's body within bounds; the body is left."""
    parts: list[bytes] = []
    size = 0
    try:
        with trio.move_on_after(_ERROR_BODY_S):
            while size < _MAX_ERROR_BODY and (data := await body.receive()):
                parts.append(data)
                size += len(data)
    except httpx.TransportError:
        pass  # its status alone is worth telling
    finally:
        body.leave()
    return b"".join(parts)[:_MAX_ERROR_BODY]
