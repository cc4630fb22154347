"""hypercorn's side of a WebSocket, with an end that the client can understand."""

from dataclasses import replace

import trio
from hypercorn.protocol.events import Body, Data, Event, Request, StreamClosed
from hypercorn.protocol.h11 import STREAM_ID
from hypercorn.protocol.ws_stream import FrameTooLargeError, WebsocketBuffer, WSStream
from hypercorn.typing import ASGISendEvent
from wsproto.connection import ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, TextMessage
from wsproto.frame_protocol import CloseReason

from web.server.app_stream import BURST
from web.server.wire import StreamSend, Surroundings

_EXTENSIONS = b"sec-websocket-extensions"


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

        Else an app that always has more to say would never yield (see `AppStream`).
        """
        await super().app_send(message)
        if message is None or message["type"] != "websocket.send":
            return
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
