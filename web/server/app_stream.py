"""One request and its response, whatever the protocol: sending must not starve the others."""

from collections.abc import Awaitable, Callable

import trio
from hypercorn.protocol.events import Event
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.typing import ASGISendEvent

from web.server.wire import Surroundings

BURST = 16
"""How many messages are sent in a row before other tasks must get their turn."""


class AppStream(HTTPStream):
    """hypercorn's stream, whose `send` is a checkpoint now and then.

    A write that the socket takes at once does not wait, so that an app that always has more to
    say would never yield. Each checkpoint costs a pass of the scheduler; so it is one in
    `BURST`, and whenever the client has left.
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
        """Take a message from the app; None when it has returned."""
        await super().app_send(message)
        if message is None:
            return
        if message["type"] == "http.response.start":
            self.response = {**message, "headers": ()}  # they are sent, and a stream may last
        elif message.get("more_body"):
            await self._give_way()

    async def _give_way(self) -> None:
        self._in_a_row += 1
        if self._in_a_row >= BURST or self.closed:
            self._in_a_row = 0
            await trio.lowlevel.checkpoint()
