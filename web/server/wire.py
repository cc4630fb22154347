"""What a protocol class may do to its connection."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from hypercorn.events import Event
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.typing import AppWrapper, TaskGroup
from msgspec import Struct

from web.server.setup import Context, ProtocolConfig

StreamSend = Callable[[StreamEvent], Awaitable[None]]


class Wire(Protocol):
    """The way out, past hypercorn's events."""

    def write_now(self, data: bytes) -> bytes:
        """Send what can be sent without waiting; returns the rest, `b""` if that was all."""

    async def write_rest(self, data: bytes) -> None:
        """Send what `write_now` left, in order, with the stall deadline."""

    def reset(self) -> None:
        """Close so that the client cannot take what it got for the whole."""


class Surroundings(Struct, frozen=True):
    """What hypercorn's protocol classes are built from."""

    app: AppWrapper
    config: ProtocolConfig
    context: Context
    tasks: TaskGroup
    ssl: bool
    client: tuple[str, int] | None
    server: tuple[str, int] | None
    send: Callable[[Event], Awaitable[None]]
    wire: Wire
    write_stall_s: float
