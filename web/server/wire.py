"""The interface of a connection for its protocol classes."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from hypercorn.events import Event
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.typing import AppWrapper, TaskGroup
from msgspec import Struct

from web.server.setup import Context, ProtocolConfig

StreamSend = Callable[[StreamEvent], Awaitable[None]]


class Wire(Protocol):
    """Direct write access to the connection, bypassing hypercorn's events."""

    def write_now(self, data: bytes) -> bytes:
        """Send as much as possible without waiting; return the rest, `b""` if all was sent."""

    async def write_rest(self, data: bytes) -> None:
        """Send the rest that `write_now` returned, in order, with the stall deadline."""

    def reset(self) -> None:
        """Close with RST, so that the client cannot mistake a partial response for a whole one."""


class Surroundings(Struct, frozen=True):
    """Dependencies of hypercorn's protocol classes."""

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
