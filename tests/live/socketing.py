"""Responses WebSockets on real connections, whose clients can leave in every way."""

import os
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from trio_websocket import WebSocketConnection, wrap_client_stream

from tests.live.client import Door
from tests.live.harness import WITHIN_S
from tests.web.socket_client import HANDSHAKE, Object, Socket

LEAVINGS = ("close frame", "fin", "rst")
_CLOSE_FRAME = b"\x88\x82\x00\x00\x00\x00\x03\xe8"
QUESTION = "Who is on stage?"


class LiveSocket(Socket):
    """A client's side of a socket on a real connection."""

    def __init__(
        self, connection: WebSocketConnection, stream: trio.SocketStream, model: str
    ) -> None:
        super().__init__(connection, stream, patience_s=WITHIN_S)
        self._raw = stream.socket
        self._model = model

    async def create(self, **changes: object) -> None:
        """Ask for a response of the model that this socket is for."""
        await super().create(**({"model": self._model, "input": QUESTION} | changes))

    async def hear_text(self, pieces: int) -> str:
        """The text of so many pieces of the response in progress."""
        text = ""
        for _ in range(pieces):
            text += (await self.hear_until("response.output_text.delta"))["delta"]
        return text

    def leave(self, how: str) -> float:
        """Close by a close frame, `fin` or `rst`; the time before that, by CLOCK_MONOTONIC."""
        if how == "rst":
            self._raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        left_at = time.monotonic()
        if how == "close frame":
            os.write(self._raw.fileno(), _CLOSE_FRAME)
        else:
            self._raw.close()
        return left_at


@asynccontextmanager
async def connected(
    server: Door, *, receive_buffer: int | None = None
) -> AsyncIterator[trio.SocketStream]:
    """A connection that is closed in the end."""
    sock = trio.socket.socket()
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    try:
        await sock.connect((server.host, server.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield trio.SocketStream(sock)
    finally:
        sock.close()


@asynccontextmanager
async def conversing(
    server: Door, model: str, *, receive_buffer: int | None = None
) -> AsyncIterator[LiveSocket]:
    """A socket that has been accepted, and is cut in the end."""
    async with (
        connected(server, receive_buffer=receive_buffer) as stream,
        trio.open_nursery() as nursery,
    ):
        host = f"{server.host}:{server.port}"
        connection = await wrap_client_stream(nursery, stream, host, "/v1/responses")
        try:
            yield LiveSocket(connection, stream, model)
        finally:
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def shaken(
    server: Door, *, receive_buffer: int | None = None
) -> AsyncIterator[trio.SocketStream]:
    """An accepted socket for who sends frames by hand."""
    async with connected(server, receive_buffer=receive_buffer) as stream:
        await stream.send_all(HANDSHAKE)
        head = b""
        while b"\r\n\r\n" not in head:
            head += await stream.receive_some()
        assert head.startswith(b"HTTP/1.1 101 "), head
        yield stream


def text_in(response: Object) -> str:
    """What a response says."""
    return "".join(
        part["text"]
        for item in response["output"]
        if item["type"] == "message"
        for part in item["content"]
    )
