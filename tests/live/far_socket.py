"""Runs on another machine: asks for a response on a WebSocket and prints what it hears.

`python -m tests.live.far_socket HOST PORT MODEL USER`; without a model it asks for nothing.
"""

import sys

import trio

from tests.live.client import Door
from tests.live.socketing import conversing


class _There:
    """Where the server is."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port


async def _listen(server: Door, model: str, user: str) -> None:
    async with conversing(server, model) as socket:
        if model:
            await socket.create(user=user)
        sys.stdout.write("connected\n")
        sys.stdout.flush()
        while True:
            message = await socket.connection.get_message()
            sys.stdout.write(f"{message!s}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    trio.run(_listen, _There(sys.argv[1], int(sys.argv[2])), sys.argv[3], sys.argv[4])
