"""Base of the protocol adapters: their context, and the stream between a request and the app."""

from collections.abc import Awaitable, Callable
from typing import cast

import trio
from hypercorn.events import Event
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.typing import AppWrapper, ASGISendEvent, TaskGroup
from msgspec import Struct

from web.server.settings import Context, ProtocolConfig
from web.server.writer import Address, ConnectionWriter

StreamSend = Callable[[StreamEvent], Awaitable[None]]

BURST = 16
"""Number of messages sent in a row before other tasks get to run."""


class ProtocolContext(Struct, frozen=True):
    """Dependencies of hypercorn's protocol classes."""

    shared: Context
    tasks: TaskGroup
    peers: tuple[bool, Address, Address]
    """True with TLS, the client's address, and ours."""
    send: Callable[[Event], Awaitable[None]]
    wire: ConnectionWriter
    """Direct write access to the connection, bypassing hypercorn's events."""

    @property
    def served(self) -> tuple[AppWrapper, ProtocolConfig, Context, TaskGroup]:
        """The first arguments of hypercorn's protocol classes."""
        return cast("AppWrapper", self.shared.app), self.shared.config, self.shared, self.tasks


class Yielding:
    """Mixin for streams whose `send` is sometimes a checkpoint.

    A write that the socket takes at once does not wait, so an app that always has more to send
    would never yield. A checkpoint costs a scheduler pass, so only one in `BURST` messages has
    one, and every message after the client has left.
    """

    closed: bool
    _in_a_row = 0

    async def _yield_sometimes(self) -> None:
        self._in_a_row += 1
        if self._in_a_row >= BURST or self.closed:
            self._in_a_row = 0
            await trio.lowlevel.checkpoint()


class AppStream(Yielding, HTTPStream):
    """hypercorn's stream that yields sometimes."""

    def __init__(self, context: ProtocolContext, send: StreamSend, stream_id: int) -> None:
        super().__init__(*context.served, *context.peers, send, stream_id)

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
