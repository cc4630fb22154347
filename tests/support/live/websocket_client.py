"""Responses WebSocket client on real connections that can disconnect in several ways."""

import os
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from trio_websocket import WebSocketConnection, wrap_client_stream

from tests.support.live.harness import TIMEOUT_S
from tests.support.live.http_client import Endpoint
from tests.support.responses_socket import HANDSHAKE, Object, ResponsesSocket

DISCONNECT_KINDS = ("close frame", "fin", "rst")
_CLOSE_FRAME = b"\x88\x82\x00\x00\x00\x00\x03\xe8"
QUESTION = "Who is on stage?"


class LiveSocket(ResponsesSocket):
    """A WebSocket client on a TCP connection."""

    def __init__(
        self, connection: WebSocketConnection, stream: trio.SocketStream, model: str
    ) -> None:
        super().__init__(connection, stream, timeout_s=TIMEOUT_S)
        self._raw = stream.socket
        self._model = model

    async def create(self, **changes: object) -> None:
        """Request a response from this socket's model."""
        await super().create(**({"model": self._model, "input": QUESTION} | changes))

    async def read_text(self, pieces: int) -> str:
        """Return the text of the next `pieces` deltas of the running response."""
        text = ""
        for _ in range(pieces):
            text += (await self.receive_until("response.output_text.delta"))["delta"]
        return text

    def disconnect(self, how: str) -> float:
        """Close by a close frame, `fin` or `rst`; return the CLOCK_MONOTONIC time just before."""
        if how == "rst":
            self._raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        left_at = time.monotonic()
        if how == "close frame":
            os.write(self._raw.fileno(), _CLOSE_FRAME)
        else:
            self._raw.close()
        return left_at


@asynccontextmanager
async def open_connection(
    server: Endpoint, *, receive_buffer: int | None = None
) -> AsyncIterator[trio.SocketStream]:
    """Open a TCP connection that is closed on exit."""
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
async def open_socket(
    server: Endpoint, model: str, *, receive_buffer: int | None = None
) -> AsyncIterator[LiveSocket]:
    """Open a WebSocket; on exit the connection is cut without a close frame."""
    async with (
        open_connection(server, receive_buffer=receive_buffer) as stream,
        trio.open_nursery() as nursery,
    ):
        host = f"{server.host}:{server.port}"
        connection = await wrap_client_stream(nursery, stream, host, "/v1/responses")
        try:
            yield LiveSocket(connection, stream, model)
        finally:
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_raw_socket(
    server: Endpoint, *, receive_buffer: int | None = None
) -> AsyncIterator[trio.SocketStream]:
    """Open a WebSocket for handwritten frames."""
    async with open_connection(server, receive_buffer=receive_buffer) as stream:
        await stream.send_all(HANDSHAKE)
        head = b""
        while b"\r\n\r\n" not in head:
            head += await stream.receive_some()
        assert head.startswith(b"HTTP/1.1 101 "), head
        yield stream


def text_in(response: Object) -> str:
    """Return the text of a response's messages."""
    return "".join(
        part["text"]
        for item in response["output"]
        if item["type"] == "message"
        for part in item["content"]
    )
