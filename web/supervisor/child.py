"""Connects a server process to its supervisor."""

import socket

import structlog
import trio

from web.process.shutdown import Stop
from web.supervisor.plan import READY, Command

_log = structlog.get_logger("trouper.server")


class SupervisorLink:
    """The server process's view of its supervisor: reports readiness and receives orders."""

    def __init__(self, descriptor: int) -> None:
        self._socket = trio.socket.from_stdlib_socket(socket.socket(fileno=descriptor))

    async def report_ready(self) -> None:
        """Report that this process accepts connections."""
        try:
            await self._socket.send(READY)
        except OSError:
            return  # the supervisor is dead, and `obey` will notice

    async def obey(self, stop: Stop) -> None:
        """Carry out the supervisor's orders. A service task.

        If the supervisor dies, this process hands over, because it would not be replaced.
        """
        orders = {
            Command.LEAVE: stop.hand_over,
            Command.DRAIN: stop.requested.set,
            Command.HURRY: stop.hurry,
        }
        with self._socket:
            while received := await self._receive():
                for byte in received:
                    orders[Command(bytes([byte]))]()
        if not stop.requested.is_set():
            _log.error("supervisor exited")
            stop.hand_over()

    async def _receive(self) -> bytes:
        try:
            return await self._socket.recv(16)
        except OSError:
            return b""
