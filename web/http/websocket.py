"""ASGI connection of one WebSocket; a full queue or a crash closes it with a fitting code."""

from typing import cast

import structlog
import trio
from hypercorn.typing import (
    ASGIReceiveCallable,
    ASGISendCallable,
    WebsocketReceiveEvent,
    WebsocketScope,
    WebsocketSendEvent,
)
from quart.utils import encode_headers
from quart.wrappers import Websocket
from quart.wrappers.response import Response
from quart_trio import QuartTrio
from quart_trio.asgi import TrioASGIWebsocketConnection
from werkzeug.datastructures import Headers
from werkzeug.wrappers import Response as WerkzeugResponse

from web.http.message_queue import MessageQueue
from web.observability.access_log import RequestContext, log_request
from web.server.protocols.websocket import TEXTS
from web.server.receive_queue import queue_of
from web.server.request_id import id_in
from web.server.settings import LEAVING

NORMAL = 1000
GOING_AWAY = 1001
POLICY = 1008
INTERNAL_ERROR = 1011
TRY_AGAIN_LATER = 1013

_CONTEXT = "trouper.websocket"
_SWITCHING = 101


class WebsocketContext(RequestContext):
    """Context of one WebSocket.

    `stack` is closed in a cancelled scope if the client left. `server_leaves` is set when
    the server is about to stop; the handler then has to end the socket.
    """

    __slots__ = ("_send", "server_leaves")

    def __init__(self, scope: WebsocketScope, send: ASGISendCallable) -> None:
        super().__init__()
        self._send = send
        self.server_leaves = cast("dict[str, trio.Event]", scope["extensions"])[LEAVING]

    async def send_texts(self, texts: list[bytes]) -> None:
        """Send UTF-8 text messages with one write, which is much cheaper than one write each."""
        self.sent += sum(map(len, texts))
        await self._send(cast("WebsocketSendEvent", {"type": "websocket.send", TEXTS: texts}))


def websocket_context_of(websocket: Websocket) -> WebsocketContext:
    """Return the context of a WebSocket that came through `TurnWebsocketConnection`."""
    return cast("dict[str, WebsocketContext]", websocket.scope)[_CONTEXT]


class TurnWebsocketConnection(TrioASGIWebsocketConnection):
    """Quart-Trio's connection with a queue that never blocks the reader.

    In Quart-Trio a full queue blocks the task that detects disconnects, and a crashed handler
    closes the socket with 1000.
    """

    app: QuartTrio

    def __init__(self, app: QuartTrio, scope: WebsocketScope) -> None:
        self.app = app
        self.scope = scope
        self._accepted = False
        self._closed = False
        self._queue = MessageQueue(app.config["MAX_CONTENT_LENGTH"], queue_of(scope).budget)
        self.receive_channel = self._queue  # type: ignore[assignment]  # only receive is used
        self._id = id_in(scope)
        self._context: WebsocketContext

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Run the handler until it returns or the client leaves; an error closes with 1011."""
        structlog.contextvars.bind_contextvars(request=self._id)
        self._context = WebsocketContext(self.scope, send)
        cast("dict[str, object]", self.scope)[_CONTEXT] = self._context
        try:
            await self._serve(receive, send)
        finally:
            self._queue.close()
            log_request(self.scope, self._context)

    async def _serve(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        websocket = self._create_websocket_from_scope(send)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, nursery.cancel_scope, receive, send)
            try:
                async with self._context.stack:
                    await self._finish(send, await self.app.handle_websocket(websocket))
            finally:
                nursery.cancel_scope.cancel()

    async def _watch(
        self, scope: trio.CancelScope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        while (event := await receive())["type"] != "websocket.disconnect":
            if event["type"] == "websocket.receive" and not self._put(event):
                self._end(scope)
                # The handler is cancelled first, because the close may take long. It is sent in
                # spite of the cancelled scope: the server shields its writes.
                code = TRY_AGAIN_LATER if self._queue.refused else POLICY
                await self.close_connection(send, code)
                return
        self._end(scope)

    def _end(self, scope: trio.CancelScope) -> None:
        self._context.left_at = trio.current_time()
        scope.cancel()

    def _put(self, event: WebsocketReceiveEvent) -> bool:
        """Queue a message for the handler. Return False if its queue is full."""
        binary = event.get("bytes")
        return self._queue.put(event["text"] or "" if binary is None else binary)

    async def accept_connection(
        self, send: ASGISendCallable, headers: Headers, subprotocol: str | None
    ) -> None:
        """Accept the handshake; later calls have no effect."""
        if not self._accepted:
            self._context.status = _SWITCHING
            headers["X-Request-Id"] = self._id
            await super().accept_connection(send, headers, subprotocol)

    async def send_data(self, send: ASGISendCallable, data: str | bytes) -> None:
        """Send a text or binary message."""
        self._context.sent += len(data)
        await super().send_data(send, data)

    async def close_connection(
        self, send: ASGISendCallable, code: int, reason: str | None = None
    ) -> None:
        """Send a close frame, unless one was sent."""
        if not self._closed:
            self._closed = True
            await send({"type": "websocket.close", "code": code, "reason": reason})

    async def _finish(
        self, send: ASGISendCallable, response: Response | WerkzeugResponse | None
    ) -> None:
        if self._accepted:
            crashed = response is not None and response.status_code >= 500
            await self.close_connection(send, INTERNAL_ERROR if crashed else NORMAL)
        elif isinstance(response, Response):
            await self._reject(send, response)
        else:
            await self.close_connection(send, NORMAL)

    async def _reject(self, send: ASGISendCallable, response: Response) -> None:
        """Answer the handshake with an HTTP response instead of accepting it."""
        self._context.status = response.status_code
        await send(
            {
                "type": "websocket.http.response.start",
                "status": response.status_code,
                "headers": encode_headers(response.headers),
            }
        )
        body = await response.get_data(as_text=False)
        assert isinstance(body, bytes)  # noqa: S101  # get_data's type follows as_text
        self._context.sent = len(body)
        await send({"type": "websocket.http.response.body", "body": body, "more_body": False})
