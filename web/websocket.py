"""One WebSocket between the server and the app: a full inbox or a crash ends it audibly."""

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, cast

import trio
from hypercorn.typing import (
    ASGIReceiveCallable,
    ASGISendCallable,
    WebsocketReceiveEvent,
    WebsocketScope,
)
from quart.utils import encode_headers
from quart.wrappers import Websocket
from quart.wrappers.response import Response
from quart_trio.asgi import TrioASGIWebsocketConnection
from werkzeug.wrappers import Response as WerkzeugResponse

if TYPE_CHECKING:
    from web.quart_app import TrouperApp

NORMAL = 1000
POLICY = 1008
INTERNAL_ERROR = 1011
INBOX = 64
"""How many messages may wait for the handler before the socket is closed (1008)."""

_STACK = "trouper.websocket"


def websocket_stack(websocket: Websocket) -> AsyncExitStack:
    """The stack for what ends with the socket; closed once, cancelled if the client left."""
    return cast("dict[str, AsyncExitStack]", websocket.scope)[_STACK]


class TurnWebsocketConnection(TrioASGIWebsocketConnection):
    """Quart-Trio's connection with an inbox that never stops the reader.

    There a full inbox blocks the task that would see the client leave, and a crashed handler
    closes with 1000.
    """

    app: "TrouperApp"
    send_channel: trio.MemorySendChannel[str | bytes]

    def __init__(self, app: "TrouperApp", scope: WebsocketScope) -> None:
        super().__init__(app, scope)
        self.send_channel, self.receive_channel = trio.open_memory_channel[str | bytes](INBOX)
        self._stack = AsyncExitStack()
        cast("dict[str, object]", scope)[_STACK] = self._stack

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Run the handler until it returns or the client leaves; its errors are 1011."""
        websocket = self._create_websocket_from_scope(send)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, nursery.cancel_scope, receive, send)
            try:
                async with self._stack:
                    await self._finish(send, await self.app.handle_websocket(websocket))
            finally:
                nursery.cancel_scope.cancel()

    async def _watch(
        self, scope: trio.CancelScope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        while (event := await receive())["type"] != "websocket.disconnect":
            if event["type"] == "websocket.receive" and not self._put(event):
                await self._close(send, POLICY)
                break
        scope.cancel()

    def _put(self, event: WebsocketReceiveEvent) -> bool:
        """Hand a message to the handler; false if its inbox is full."""
        binary = event.get("bytes")
        try:
            self.send_channel.send_nowait(event["text"] or "" if binary is None else binary)
        except trio.WouldBlock:
            return False
        return True

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

    async def _close(self, send: ASGISendCallable, code: int) -> None:
        if not self._closed:
            self._closed = True
            await send({"type": "websocket.close", "code": code, "reason": None})

    async def _reject(self, send: ASGISendCallable, response: Response) -> None:
        """Answer the handshake as plain HTTP."""
        await send(
            {
                "type": "websocket.http.response.start",
                "status": response.status_code,
                "headers": encode_headers(response.headers),
            }
        )
        body = await response.get_data(as_text=False)
        assert isinstance(body, bytes)  # noqa: S101  # get_data's type follows as_text
        await send({"type": "websocket.http.response.body", "body": body, "more_body": False})
