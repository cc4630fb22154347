"""One WebSocket between the server and the app: a full inbox or a crash ends it audibly."""

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, cast

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
from quart_trio.asgi import TrioASGIWebsocketConnection
from werkzeug.datastructures import Headers
from werkzeug.wrappers import Response as WerkzeugResponse

from web.access_log import RequestRecord, log_request
from web.server.request_id import id_in
from web.server.setup import LEAVING
from web.server.websocket import TEXTS
from web.websocket_inbox import MessageInbox

if TYPE_CHECKING:
    from web.quart_app import TrouperApp

NORMAL = 1000
GOING_AWAY = 1001
POLICY = 1008
INTERNAL_ERROR = 1011

_LIFE = "trouper.websocket"
_SWITCHING = 101


class WebsocketLife(RequestRecord):
    """What belongs to one socket: how it goes, and what ends with it.

    `stack` is closed once, cancelled if the client left; `server_leaves` is set when the server is
    about to stop, and whoever serves the socket has to end it.
    """

    __slots__ = ("_send", "server_leaves", "stack")

    def __init__(self, scope: WebsocketScope) -> None:
        super().__init__()
        self._send: ASGISendCallable
        self.stack = AsyncExitStack()
        leaving = cast("dict[str, trio.Event]", scope["extensions"]).get(LEAVING)
        self.server_leaves = trio.Event() if leaving is None else leaving

    def begin(self, send: ASGISendCallable) -> None:
        """Whatever is said goes this way."""
        self._send = send

    async def send_texts(self, texts: list[bytes]) -> None:
        """Send these messages, in UTF-8, with one write; much cheaper than one after the other."""
        self.sent += sum(map(len, texts))
        await self._send(cast("WebsocketSendEvent", {"type": "websocket.send", TEXTS: texts}))


def websocket_life(websocket: Websocket) -> WebsocketLife:
    """The life of a socket that came through `TurnWebsocketConnection`."""
    return cast("dict[str, WebsocketLife]", websocket.scope)[_LIFE]


class TurnWebsocketConnection(TrioASGIWebsocketConnection):
    """Quart-Trio's connection with an inbox that never stops the reader.

    There a full inbox blocks the task that would see the client leave, and a crashed handler
    closes with 1000.
    """

    app: "TrouperApp"

    def __init__(self, app: "TrouperApp", scope: WebsocketScope) -> None:
        self.app = app
        self.scope = scope
        self._accepted = False
        self._closed = False
        self._inbox = MessageInbox(app.config["MAX_CONTENT_LENGTH"])
        self.receive_channel = self._inbox  # type: ignore[assignment]  # all that is asked of it
        self._id = id_in(scope)
        self._life = WebsocketLife(scope)
        cast("dict[str, object]", scope)[_LIFE] = self._life

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Run the handler until it returns or the client leaves; its errors are 1011."""
        structlog.contextvars.bind_contextvars(request=self._id)
        try:
            await self._serve(receive, send)
        finally:
            log_request(self.scope, self._life)

    async def _serve(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        websocket = self._create_websocket_from_scope(send)
        self._life.begin(send)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, nursery.cancel_scope, receive, send)
            try:
                async with self._life.stack:
                    await self._finish(send, await self.app.handle_websocket(websocket))
            finally:
                nursery.cancel_scope.cancel()

    async def _watch(
        self, scope: trio.CancelScope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        while (event := await receive())["type"] != "websocket.disconnect":
            if event["type"] == "websocket.receive" and not self._put(event):
                self._end(scope)
                await self._close(send, POLICY)  # which may take long, and does without the scope
                return
        self._end(scope)

    def _end(self, scope: trio.CancelScope) -> None:
        self._life.left_at = trio.current_time()
        scope.cancel()

    def _put(self, event: WebsocketReceiveEvent) -> bool:
        """Hand a message to the handler; false if its inbox is full."""
        binary = event.get("bytes")
        return self._inbox.put(event["text"] or "" if binary is None else binary)

    async def accept_connection(
        self, send: ASGISendCallable, headers: Headers, subprotocol: str | None
    ) -> None:
        """Accept, the first time that this is called."""
        if not self._accepted:
            self._life.status = _SWITCHING
            headers["X-Request-Id"] = self._id
            await super().accept_connection(send, headers, subprotocol)

    async def send_data(self, send: ASGISendCallable, data: str | bytes) -> None:
        """Send a message."""
        self._life.sent += len(data)
        if isinstance(data, str):
            await send({"type": "websocket.send", "bytes": None, "text": data})
        else:
            await send({"type": "websocket.send", "bytes": data, "text": None})

    async def close_connection(self, send: ASGISendCallable, code: int, reason: str) -> None:
        """Say goodbye, if nobody has."""
        await self._close(send, code, reason)

    async def _finish(
        self, send: ASGISendCallable, response: Response | WerkzeugResponse | None
    ) -> None:
        if self._accepted:
            crashed = response is not None and response.status_code >= 500
            await self._close(send, INTERNAL_ERROR if crashed else NORMAL)
        elif isinstance(response, Response):
            await self._reject(send, response)
        else:
            await self._close(send, NORMAL)

    async def _close(self, send: ASGISendCallable, code: int, reason: str | None = None) -> None:
        if not self._closed:
            self._closed = True
            await send({"type": "websocket.close", "code": code, "reason": reason})

    async def _reject(self, send: ASGISendCallable, response: Response) -> None:
        """Answer the handshake as plain HTTP."""
        self._life.status = response.status_code
        await send(
            {
                "type": "websocket.http.response.start",
                "status": response.status_code,
                "headers": encode_headers(response.headers),
            }
        )
        body = await response.get_data(as_text=False)
        assert isinstance(body, bytes)  # noqa: S101  # get_data's type follows as_text
        self._life.sent = len(body)
        await send({"type": "websocket.http.response.body", "body": body, "more_body": False})
