"""ASGI stream of one request that yields to other tasks while it sends."""

from collections.abc import Awaitable, Callable

import trio
from hypercorn.protocol.events import Event
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.typing import ASGISendEvent

from web.server.wire import Surroundings

BURST = 16
"""Number of messages sent in a row before other tasks get to run."""


class AppStream(HTTPStream):
    """hypercorn's stream with a `send` that is sometimes a checkpoint.

    A write that the socket takes at once does not wait, so an app that always has more to send
    would never yield. A checkpoint costs a scheduler pass, so only one in `BURST` messages has
    one, and every message after the client has left.
    """

    def __init__(
        self, surroundings: Surroundings, send: Callable[[Event], Awaitable[None]], stream_id: int
    ) -> None:
        at = surroundings
        super().__init__(
            at.app, at.config, at.context, at.tasks, at.ssl, at.client, at.server, send, stream_id
        )
        self._in_a_row = 0

    async def app_send(self, message: ASGISendEvent | None) -> None:
        """Handle a message from the app; None means that the app has returned."""
        await super().app_send(message)
        if message is None:
            return
        if message["type"] == "http.response.start":
            # The headers are sent; dropping them saves memory while the response streams.
            self.response = {**message, "headers": ()}
        elif message.get("more_body"):
            await self._yield_sometimes()

    async def _yield_sometimes(self) -> None:
        self._in_a_row += 1
        if self._in_a_row >= BURST or self.closed:
            self._in_a_row = 0
            await trio.lowlevel.checkpoint()
