"""hypercorn's side of a WebSocket, with an end that the client can understand."""

from dataclasses import replace
from typing import cast

import trio
from hypercorn.protocol.events import Body, Data, Event, Request, StreamClosed
from hypercorn.protocol.h11 import STREAM_ID
from hypercorn.protocol.ws_stream import (
    ASGIWebsocketState,
    FrameTooLargeError,
    WebsocketBuffer,
    WSStream,
)
from hypercorn.typing import ASGISendEvent
from wsproto.connection import ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, TextMessage
from wsproto.frame_protocol import CloseReason

from web.server.app_stream import BURST
from web.server.wire import StreamSend, Surroundings

TEXTS = "trouper.texts"
"""The field of a `websocket.send` that has several messages, in UTF-8."""
_EXTENSIONS = b"sec-websocket-extensions"


def text_frame(text: bytes) -> bytes:
    """A whole message as a server frames it (RFC 6455 §5.2)."""
    length = len(text)
    if length < 126:
        return b"\x81%c%b" % (length, text)
    if length < 65_536:
        return b"\x81\x7e%b%b" % (length.to_bytes(2, "big"), text)
    return b"\x81\x7f%b%b" % (length.to_bytes(8, "big"), text)


class ByteBuffer(WebsocketBuffer):
    """hypercorn's buffer of a message, which counts the characters of a text, counting its bytes.

    Raises `FrameTooLargeError` where they are too many.
    """

    def extend(self, event: Message[str] | Message[bytes | bytearray]) -> None:
        """Take a part of the message."""
        super().extend(event)
        data = event.data
        if isinstance(data, str) and not data.isascii():
            self.length += len(data.encode()) - len(data)
            if self.length > self.max_length:
                raise FrameTooLargeError


class WebsocketStream(WSStream):
    """Says why it closes on broken frames (1002, 1007) and on messages too long (1009).

    hypercorn cuts the first without a word, and goes on listening after the second. Data ahead
    of the handshake's end, which RFC 6455 §4.1 forbids, ends the connection; hypercorn answers
    400, maybe into the middle of another answer, and never tells the app that its client is gone.
    No extension is agreed on: hypercorn's would inflate 64 KiB to as many MiB at a time.
    """

    def __init__(self, surroundings: Surroundings, send: StreamSend) -> None:
        at = surroundings
        super().__init__(
            at.app, at.config, at.context, at.tasks, at.ssl, at.client, at.server, send, STREAM_ID
        )
        self.buffer = ByteBuffer(at.config.websocket_max_message_size)
        self._wire = at.wire
        self._in_a_row = 0

    async def handle(self, event: Event) -> None:
        """Take a handshake, data, or the end."""
        if isinstance(event, Body | Data) and not self.closed and not self.handshake.accepted:
            await self.send(StreamClosed(stream_id=self.stream_id))
        elif isinstance(event, Request):
            headers = [header for header in event.headers if header[0] != _EXTENSIONS]
            await super().handle(replace(event, headers=headers))
        else:
            await super().handle(event)

    async def app_send(self, message: ASGISendEvent | None) -> None:
        """Take a message from the app; None when it has returned. A checkpoint now and then.

        Else an app that always has more to say would never yield (see `AppStream`). With `TEXTS`
        a `websocket.send` has many messages, which are framed here and written at once.
        """
        texts = None if message is None else cast("dict[str, list[bytes]]", message).get(TEXTS)
        if texts is None:
            await super().app_send(message)
        elif self._is_open:
            rest = self._wire.write_now(b"".join(map(text_frame, texts)))
            if rest:
                await self._wire.write_rest(rest)
        if message is not None and message["type"] == "websocket.send":
            await self._give_way()

    @property
    def _is_open(self) -> bool:
        """Whether a message can be sent: neither side has said goodbye."""
        accepted = not self.closed and self.state is ASGIWebsocketState.CONNECTED
        return accepted and self.connection.state is ConnectionState.OPEN

    async def _give_way(self) -> None:
        self._in_a_row += 1
        if self._in_a_row >= BURST or self.closed:
            self._in_a_row = 0
            await trio.lowlevel.checkpoint()

    async def _handle_events(self) -> None:
        for event in self.connection.events():
            if self.closed:
                return
            if isinstance(event, TextMessage | BytesMessage):
                await self._on_message(event)
            elif isinstance(event, Ping):
                await self._send_wsproto_event(event.response())
            elif isinstance(event, CloseConnection):
                await self._on_close(event)

    async def _on_message(self, event: TextMessage | BytesMessage) -> None:
        try:
            self.buffer.extend(event)
        except FrameTooLargeError:
            await self._end(CloseConnection(code=CloseReason.MESSAGE_TOO_BIG))
            return
        if event.message_finished and self.app_put is not None:
            await self.app_put(self.buffer.to_message())
            self.buffer.clear()

    async def _on_close(self, event: CloseConnection) -> None:
        """The client closes, or wsproto found that it broke the protocol."""
        if self.connection.state is ConnectionState.REMOTE_CLOSING:
            event = event.response()
        await self._end(event)

    async def _end(self, event: CloseConnection) -> None:
        await self._send_wsproto_event(event)
        await self.send(StreamClosed(stream_id=self.stream_id))
