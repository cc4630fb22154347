"""A request's body that fails where the handler reads it: too long (413) or too slow (408)."""

from functools import cached_property

from quart_trio.wrappers import TrioRequest
from quart_trio.wrappers.request import TrioBody
from werkzeug.exceptions import RequestEntityTooLarge, RequestTimeout


class BoundedBody(TrioBody):
    """Quart's body, whose limit also holds for bodies read in parts.

    Quart counts what is buffered, not what was received, and its iterator takes a body that
    was given up for one that has ended.
    """

    def __init__(self, expected_content_length: int | None, max_content_length: int | None) -> None:
        super().__init__(expected_content_length, max_content_length)
        self._received = 0

    @property
    def complete(self) -> bool:
        """Whether nothing more is expected: received whole, or given up."""
        return self._complete.is_set()

    def append(self, data: bytes) -> None:
        """Take what arrived; past the limit the body is given up with 413."""
        self._received += len(data)
        if self._max_content_length is not None and self._received > self._max_content_length:
            self.give_up(RequestEntityTooLarge())
        else:
            super().append(data)

    def too_slow(self) -> None:
        """Give the body up with 408."""
        self.give_up(RequestTimeout())

    def give_up(self, error: Exception) -> None:
        """Have whoever reads the body, now or later, raise `error`; the first one wins."""
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
    """Quart's request with our body."""

    body_class = BoundedBody
    body: BoundedBody

    @cached_property
    def blueprints(self) -> list[str]:  # Quart asks three times
        """The blueprint of the route, and those around it; asked for once there is a route."""
        return super().blueprints

    async def get_data(  # type: ignore[override]  # of its three signatures this is the sum
        self, cache: bool = True, as_text: bool = False, parse_form_data: bool = False
    ) -> str | bytes:
        """The body; without a cancel scope where there is no timeout, as nearly always."""
        if parse_form_data or self.body_timeout is not None:
            return await super().get_data(cache, as_text, parse_form_data)
        data: bytes = await self.body
        if not cache:
            self.body.clear()
        return data.decode() if as_text else data
