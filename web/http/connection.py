"""ASGI connection of one HTTP request: a single scope that is cancelled when the client leaves."""

from collections.abc import AsyncIterable
from contextlib import AsyncExitStack
from functools import partial
from typing import cast

import structlog
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope
from quart import Quart
from quart.utils import encode_headers
from quart.wrappers import Request
from quart.wrappers.response import DataBody, Response, ResponseBody
from quart_trio.asgi import TrioASGIHTTPConnection
from werkzeug.exceptions import RequestTimeout
from werkzeug.wrappers import Response as WerkzeugResponse

from actors.journal.reader_pace import ReaderTooSlow
from web.http.body import BoundedBody, too_much_received
from web.observability.access_log import RequestContext, log_request
from web.server.receive_budget import receive_time
from web.server.receive_queue import BodyRefused, queue_of
from web.server.request_id import id_in

_CONTEXT = "trouper.request"

_log = structlog.stdlib.get_logger("trouper.http")


def request_context_of(request: Request) -> RequestContext:
    """Return the context of a request.

    Raises `LookupError` if the request did not come through `TurnHTTPConnection`.
    """
    return cast("dict[str, RequestContext]", request.scope)[_CONTEXT]


def request_stack(request: Request) -> AsyncExitStack:
    """Return the exit stack for resources that outlive the handler and end with the response.

    The stack is closed exactly once: after the last byte was handed to the server, or in a
    cancelled scope after the client has left. Resources shield their own clean-up if they must.
    """
    return request_context_of(request).stack


class TurnHTTPConnection(TrioASGIHTTPConnection):
    """A connection that runs handler and body in one scope, cancelled only by a disconnect.

    Quart-Trio cancels its scope after every response too, so that code after the last `send`
    sees `Cancelled`. A response timeout is not needed: turns have their own timeouts.
    """

    def __init__(self, app: Quart, scope: HTTPScope) -> None:
        super().__init__(app, scope)
        self._context = RequestContext()
        self._ended = False
        cast("dict[str, object]", scope)[_CONTEXT] = self._context

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Answer the request; let errors of the body and the exit stack through to the server."""
        structlog.contextvars.bind_contextvars(request=id_in(self.scope))
        try:
            await self._answer(receive, send)
        finally:
            log_request(self.scope, self._context)

    async def _answer(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Answer in a scope that is cancelled when the client leaves.

        If the whole body has been received, no task is needed to feed it. A task with its nursery
        is a tenth of the memory of an open stream.
        """
        queue = queue_of(self.scope)
        if queue.has_whole_body:
            with trio.CancelScope() as scope:
                queue.when_over(partial(self._on_disconnect, scope))
                await self._respond(receive, send, None)
        else:
            async with trio.open_nursery() as nursery:
                queue.when_over(partial(self._on_disconnect, nursery.cancel_scope))
                await self._respond(receive, send, nursery)
                nursery.cancel_scope.cancel()

    async def _respond(
        self, receive: ASGIReceiveCallable, send: ASGISendCallable, nursery: trio.Nursery | None
    ) -> None:
        """Answer while a task in `nursery` receives the body; without one, receive it first."""
        request = self._create_request_from_scope(send)
        body = cast("BoundedBody", request.body)
        if nursery is None:
            await self._receive_body(body, receive)
        else:
            nursery.start_soon(self._receive_body, body, receive)
        del body
        try:
            async with self._context.stack:
                answering = self.app.handle_request(request)
                del request  # frees it as soon as the handler drops it: a stream may last long
                await self._send_response(send, await answering)
        except ReaderTooSlow as error:
            # Returning with the response unfinished makes the server close the connection.
            self._context.left_at = trio.current_time()
            _log.info("slow reader dropped", path=self.scope["path"], lag=str(error))

    def _on_disconnect(self, scope: trio.CancelScope) -> None:
        if not self._ended:
            self._context.left_at = trio.current_time()
            scope.cancel()

    async def _receive_body(self, body: BoundedBody, receive: ASGIReceiveCallable) -> None:
        """Feed the body, with a deadline that each received byte extends (`receive_time`)."""
        config = self.app.config
        began, received = trio.current_time(), 0
        try:
            with trio.move_on_after(config["BODY_S"]) as clock:
                while not body.complete:
                    message = await receive()
                    if message["type"] != "http.request":
                        return
                    data = message.get("body", b"")
                    received += len(data)
                    allowed = receive_time(config["BODY_S"], received, config["BODY_BYTES_PER_S"])
                    clock.deadline = began + allowed
                    body.append(data)
                    if not message.get("more_body", False):
                        body.set_complete()
                        return
            if clock.cancelled_caught:
                body.abort(RequestTimeout())
        except BodyRefused:
            body.abort(too_much_received())
        queue_of(self.scope).discard()  # or the unread rest would fill it and hide a disconnect

    async def _send_response(
        self, send: ASGISendCallable, response: Response | WerkzeugResponse
    ) -> None:
        self._context.status = response.status_code
        queue_of(self.scope).discard()  # a body is not read any more, but the response may be long
        await send(
            {
                "type": "http.response.start",
                "status": response.status_code,
                "headers": encode_headers(response.headers),
            }
        )
        self.scope["headers"] = ()  # not read again; a stream may hold the scope for long
        if isinstance(response, WerkzeugResponse):
            last = b"".join(
                part.encode() if isinstance(part, str) else part for part in response.response
            )
        elif type(response.response) is DataBody:
            last = response.response.data[response.response.begin : response.response.end]
        else:
            parts = response.response
            del response
            last = await _send_parts(send, parts, self._context)
        self._ended = True
        self._context.sent += len(last)
        await send({"type": "http.response.body", "body": last, "more_body": False})


async def _send_parts(send: ASGISendCallable, body: ResponseBody, context: RequestContext) -> bytes:
    """Send the parts of a body and return the last one unsent, if the body knows it (`exhausted`).

    The caller sends the last part together with the end of the response, in one write.
    """
    async with body as parts:
        async for part in cast("AsyncIterable[str | bytes]", parts):
            data = part.encode() if isinstance(part, str) else part
            if getattr(parts, "exhausted", False):
                return data
            context.sent += len(data)
            await send({"type": "http.response.body", "body": data, "more_body": True})
    return b""
