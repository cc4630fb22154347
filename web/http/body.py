"""Request bodies with limits, and the `limit` query parameter.

Reading a body raises 413 if it is too long, 408 if too slow, 415 or 400 if its coding is wrong.
"""

from functools import cached_property

import trio
from quart import request
from quart_trio.wrappers import TrioRequest
from quart_trio.wrappers.request import TrioBody
from werkzeug.exceptions import RequestEntityTooLarge

from actors.turn.outcome import ErrorInfo
from web.http.api_error import ApiError, invalid, unavailable
from web.http.content_coding import CODINGS, MalformedBody, decoded_pieces, is_known
from web.server.receive_queue import queue_of

_RETRY_S = 5.0
"""Seconds after which a refused body can be sent again."""


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
    """Return the request's body, decompressed; its content type is ignored.

    Raises 408 or 413, and `ApiError`: 415, 400 or 503 for a compressed body.
    """
    coding = _coding()
    body = await request.get_data(cache=False, as_text=False, parse_form_data=False)
    return await _decompressed(body, coding) if coding and body else body


def _coding() -> str:
    """Return the body's content coding, or "". Raises `ApiError` (415) if it isn't known."""
    coding = ",".join(request.headers.getlist("Content-Encoding")).strip().lower()
    if coding in ("", "identity"):
        return ""
    if is_known(coding):
        return coding
    text = f"The Content-Encoding {coding[:100]!r} is not supported. Use one of {CODINGS}, or none."
    code, kind = "unsupported_content_encoding", "invalid_request_error"
    info = ErrorInfo(status=415, message=text, type=kind, code=code)
    raise ApiError(info, {"Accept-Encoding": CODINGS})


async def _decompressed(body: bytes, coding: str) -> bytes:
    """Return the body without its coding; it counts as received in all its forms.

    These are the compressed one, the text, and the values that are decoded from the text: a few
    compressed KB become all three at once, while the text of others arrives over seconds.
    Raises 413, and `ApiError`: 400 if it is malformed, 503 if all bodies together are too large.
    """
    reception, limit = queue_of(request.scope).reception, request.max_content_length
    pieces: list[bytes] = []
    size = 0
    try:
        for piece in decoded_pieces(body, coding):
            size += len(piece)
            if limit is not None and size > limit:
                raise RequestEntityTooLarge
            if not reception.resize(len(body) + 2 * size):
                raise too_much_received()
            pieces.append(piece)
            await trio.lowlevel.checkpoint()
    except MalformedBody as error:
        raise invalid(f"The body is not valid {coding}: {error}.") from None
    return b"".join(pieces)


def too_much_received() -> ApiError:
    """Return a 503: all bodies together are too large, and this one arrived the slowest."""
    text = (
        "The server is receiving too many large requests (limits.receive_bytes), and this one"
        f" arrived the slowest. Send it again after {_RETRY_S:.0f} seconds."
    )
    return unavailable(text, code="receive_limit", retry_after_s=_RETRY_S)


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
