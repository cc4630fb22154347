"""One HTTP request between the server and the app: one scope that ends when the client does."""

from collections.abc import AsyncIterable
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast

import structlog
import trio
from hypercorn.typing import (
    ASGIReceiveCallable,
    ASGISendCallable,
    HTTPResponseBodyEvent,
    HTTPResponseStartEvent,
    HTTPScope,
)
from quart.utils import encode_headers
from quart.wrappers import Request
from quart.wrappers.response import DataBody, Response, ResponseBody
from quart_trio.asgi import TrioASGIHTTPConnection
from werkzeug.wrappers import Response as WerkzeugResponse

from actors.laggard import ReaderTooSlow
from web.access_log import RequestRecord, log_request
from web.body import BoundedBody
from web.server.inbox import INBOX, Inbox
from web.server.request_id import id_in

if TYPE_CHECKING:
    from web.quart_app import TrouperApp

_LIFE = "trouper.request"

log = structlog.stdlib.get_logger("web.server")


class RequestLife(RequestRecord):
    """What belongs to one request: a stack that is closed when it is over, and how it went."""

    __slots__ = ("stack",)

    def __init__(self) -> None:
        super().__init__()
        self.stack = AsyncExitStack()


def request_life(request: Request) -> RequestLife:
    """The life of a request that came through `TurnHTTPConnection`; `LookupError` elsewhere."""
    return cast("dict[str, RequestLife]", request.scope)[_LIFE]


def request_stack(request: Request) -> AsyncExitStack:
    """The stack for what must outlive the handler and end with the response.

    It is closed exactly once: after the last byte was handed to the server, or, cancelled, when
    the client has left. What it closes shields itself where it must.
    """
    return request_life(request).stack


class TurnHTTPConnection(TrioASGIHTTPConnection):
    """Runs handler and body in one scope, which only an early disconnect cancels.

    Quart-Trio cancels it after every response too, and then code after the last `send` sees
    `Cancelled`. There is no response timeout here: turns have clocks of their own.
    """

    app: "TrouperApp"

    def __init__(self, app: "TrouperApp", scope: HTTPScope) -> None:
        super().__init__(app, scope)
        self._life = RequestLife()
        self._ended = False
        cast("dict[str, object]", scope)[_LIFE] = self._life

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Answer the request; errors of the body or of the stack reach the server."""
        structlog.contextvars.bind_contextvars(request=id_in(self.scope))
        try:
            await self._answer(receive, send)
        finally:
            log_request(self.scope, self._life)

    async def _answer(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """In a scope that ends with the client.

        Our own server tells of that end, so that no task need wait for it once the whole body is
        here: a task and its nursery are a tenth of what an open stream takes.
        """
        inbox = cast("dict[str, Inbox]", self.scope["extensions"]).get(INBOX)
        if inbox is not None and inbox.holds_whole_body:
            with trio.CancelScope() as scope:
                await self._respond(await self._request_here(scope, receive, send, inbox), send)
        else:
            async with trio.open_nursery() as nursery:
                await self._respond(self._request_to_come(nursery, receive, send, inbox), send)
                nursery.cancel_scope.cancel()

    async def _request_here(
        self,
        scope: trio.CancelScope,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
        inbox: Inbox,
    ) -> Request:
        request = self._create_request_from_scope(send)
        await self._feed(cast("BoundedBody", request.body), receive)
        inbox.when_over(partial(self._on_disconnect, scope))
        return request

    def _request_to_come(
        self,
        nursery: trio.Nursery,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
        inbox: Inbox | None,
    ) -> Request:
        request = self._create_request_from_scope(send)
        body = cast("BoundedBody", request.body)
        nursery.start_soon(self._watch, nursery.cancel_scope, body, receive, inbox)
        return request

    async def _respond(self, request: Request, send: ASGISendCallable) -> None:
        try:
            async with self._life.stack:
                answering = self.app.handle_request(request)
                del request  # it belongs to the handler alone: a stream lasts
                await self._send_response(send, await answering)
        except ReaderTooSlow as error:
            # Returning with the response unfinished makes the server cut it.
            self._life.left_at = trio.current_time()
            log.info("reader_too_slow", path=self.scope["path"], lag=str(error))

    async def _watch(
        self,
        scope: trio.CancelScope,
        body: BoundedBody,
        receive: ASGIReceiveCallable,
        inbox: Inbox | None,
    ) -> None:
        """Receive the body, then wait for a disconnect; our own server calls us instead."""
        await self._receive_body(body, receive)
        if inbox is not None:
            inbox.when_over(partial(self._on_disconnect, scope))
            return
        while not self._ended:
            if (await receive())["type"] == "http.disconnect":
                break
        self._on_disconnect(scope)

    def _on_disconnect(self, scope: trio.CancelScope) -> None:
        if not self._ended:
            self._life.left_at = trio.current_time()
            scope.cancel()

    async def _receive_body(self, body: BoundedBody, receive: ASGIReceiveCallable) -> None:
        """Feed the body; every received byte buys time, so that dripping does not pay."""
        deadline = trio.current_time() + self.app.body_s
        with trio.CancelScope(deadline=deadline) as clock:
            await self._feed(body, receive, clock)
        if clock.cancelled_caught:
            body.too_slow()

    async def _feed(
        self,
        body: BoundedBody,
        receive: ASGIReceiveCallable,
        clock: trio.CancelScope | None = None,
    ) -> None:
        while not body.complete:
            message = await receive()
            if message["type"] != "http.request":
                return
            data = message.get("body", b"")
            if clock is not None:
                clock.deadline += len(data) / self.app.body_bytes_per_s
            body.append(data)
            if not message.get("more_body", False):
                body.set_complete()

    async def _send_response(
        self, send: ASGISendCallable, response: Response | WerkzeugResponse
    ) -> None:
        self._life.status = response.status_code
        await send(_start(response))
        self.scope["headers"] = ()  # a stream may last, and nobody asks for them any more
        if isinstance(response, WerkzeugResponse):
            last = b"".join(
                part.encode() if isinstance(part, str) else part for part in response.response
            )
        elif type(response.response) is DataBody:
            last = response.response.data[response.response.begin : response.response.end]
        else:
            parts = response.response
            del response
            last = await _send_parts(send, parts, self._life)
        self._ended = True
        self._life.sent += len(last)
        await send({"type": "http.response.body", "body": last, "more_body": False})


class Exhaustible(Protocol):
    """Parts of a body that know when the last one has been given."""

    exhausted: bool


def _start(response: Response | WerkzeugResponse) -> HTTPResponseStartEvent:
    return {
        "type": "http.response.start",
        "status": response.status_code,
        "headers": encode_headers(response.headers),
    }


async def _send_parts(send: ASGISendCallable, body: ResponseBody, life: RequestLife) -> bytes:
    """Send the parts but for the last, if the body can tell which one that is (`exhausted`)."""
    async with body as parts:
        teller = cast("Exhaustible", parts) if hasattr(parts, "exhausted") else None
        async for part in cast("AsyncIterable[str | bytes]", parts):
            data = part.encode() if isinstance(part, str) else part
            if teller is not None and teller.exhausted:
                return data
            life.sent += len(data)
            message: HTTPResponseBodyEvent = {
                "type": "http.response.body",
                "body": data,
                "more_body": True,
            }
            await send(message)
    return b""
