"""The server process's end of the socket to its supervisor."""

import socket

import structlog
import trio

from web.stopping import Stop
from web.supervise.orders import READY, Order

_log = structlog.get_logger("trouper.server")


class Supervisor:
    """Who started this process: is told when it serves, and tells it when to go."""

    def __init__(self, descriptor: int) -> None:
        self._socket = trio.socket.from_stdlib_socket(socket.socket(fileno=descriptor))

    async def tell_ready(self) -> None:
        """Say that this process serves."""
        try:
            await self._socket.send(READY)
        except OSError:
            return  # it is dead, and `obey` will see it

    async def obey(self, stop: Stop) -> None:
        """The service task: do as told. A supervisor that died leaves nobody to serve for."""
        with self._socket:
            while orders := await self._receive():
                for byte in orders:
                    _carry_out(Order(bytes([byte])), stop)
        if not stop.asked.is_set():
            _log.error("the supervisor is gone")
            stop.hand_over()

    async def _receive(self) -> bytes:
        try:
            return await self._socket.recv(16)
        except OSError:
            return b""


def _carry_out(order: Order, stop: Stop) -> None:
    match order:
        case Order.LEAVE:
            stop.hand_over()
        case Order.DRAIN:
            stop.ask()
        case Order.HURRY:
            stop.hurry()
