"""Request bodies with limits, and the `limit` query parameter.

Reading a body raises 413 if it is too long, 408 if too slow.
"""

from functools import cached_property

from quart import request
from quart_trio.wrappers import TrioRequest
from quart_trio.wrappers.request import TrioBody
from werkzeug.exceptions import RequestEntityTooLarge

from web.http.api_error import invalid
from web.server.receive_queue import queue_of


class BoundedBody(TrioBody):
    """Quart's body with a limit that also holds if the body is read in parts.

    Quart compares the limit with the bytes that are buffered, not with those received, and its
    iterator ends silently when a body was aborted.
    """

    def __init__(self, expected_content_length: int | None, max_content_length: int | None) -> None:
        super().__init__(expected_content_length, max_content_length)
        self._received = 0

    @property
    def complete(self) -> bool:
        """True if no more data is expected: the body is complete, aborted, or declared too long."""
        return self._complete.is_set() or self._must_raise is not None

    def append(self, data: bytes) -> None:
        """Add received data; abort the body with 413 once it exceeds the limit."""
        self._received += len(data)
        if self._max_content_length is not None and self._received > self._max_content_length:
            self.abort(RequestEntityTooLarge())
        else:
            super().append(data)

    def abort(self, error: Exception) -> None:
        """Abort the body: raise `error` in its reader, now or later. The first error wins."""
        if self._must_raise is None:
            self._must_raise = error
        self._data.clear()
        self.set_complete()

    async def __anext__(self) -> bytes:
        try:
            return await super().__anext__()
        except StopAsyncIteration:
            if self._must_raise is not None:
                raise self._must_raise from None
            raise


class BoundedRequest(TrioRequest):
    """Quart's request with a `BoundedBody`."""

    body_class = BoundedBody
    body: BoundedBody

    @cached_property
    def blueprints(self) -> list[str]:  # cached, because Quart reads it three times per request
        """Names of the matched route's blueprint and of its parents.

        Must not be read before routing, or it would be cached empty.
        """
        return super().blueprints

    async def get_data(  # type: ignore[override]  # merges the three overloads of the base class
        self, cache: bool = True, as_text: bool = False, parse_form_data: bool = False
    ) -> str | bytes:
        """Return the body.

        Without a timeout, which is the normal case, this saves Quart's cancel scope.
        """
        if parse_form_data or self.body_timeout is not None:
            return await super().get_data(cache, as_text, parse_form_data)
        data: bytes = await self.body
        if not cache:
            self.body.clear()
        return data.decode() if as_text else data


async def request_body() -> bytes:
    """Return the request's body, ignoring its content type. Raises 408 or 413."""
    return await request.get_data(cache=False, as_text=False, parse_form_data=False)


def release_body() -> None:
    """Stop counting the request's body as being received: it was decoded, or is invalid."""
    queue_of(request.scope).discard()


def limit_parameter(default: int, most: int) -> int:
    """Return the `limit` query parameter, or `default` without one. Raises `ApiError` (400)."""
    text = request.args.get("limit")
    if text is None:
        return default
    limit = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not 1 <= limit <= most:
        wrong = f"limit: must be a number from 1 to {most}."
        raise invalid(wrong, param="limit", code="invalid_value")
    return limit
