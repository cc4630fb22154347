"""WebSocket client for a network namespace: requests a response and prints all messages.

`python -m tests.live.far_socket HOST PORT MODEL USER`; with an empty model it only connects.
"""

import sys

import trio

from tests.support.live.http_client import Endpoint
from tests.support.live.websocket_client import open_socket


class _ServerAddress:
    """The address of the server."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port


async def _print_messages(server: Endpoint, model: str, user: str) -> None:
    async with open_socket(server, model) as socket:
        if model:
            await socket.create(user=user)
        sys.stdout.write("connected\n")
        sys.stdout.flush()
        while True:
            message = await socket.connection.get_message()
            sys.stdout.write(f"{message!s}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    trio.run(
        _print_messages, _ServerAddress(sys.argv[1], int(sys.argv[2])), sys.argv[3], sys.argv[4]
    )
