"""WebSockets: hypercorn's stream, fixed to close with the right codes and to send batches."""

from dataclasses import replace
from typing import cast

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

from web.server.protocols.base import ProtocolContext, StreamSend, Yielding

TEXTS = "trouper.texts"
"""Extra field of a `websocket.send` event: several text messages in UTF-8."""
_EXTENSIONS = b"sec-websocket-extensions"


def text_frame(text: bytes) -> bytes:
    """Return a complete text message as an unmasked frame (RFC 6455 §5.2)."""
    length = len(text)
    if length < 126:
        return b"\x81%c%b" % (length, text)
    if length < 65_536:
        return b"\x81\x7e%b%b" % (length.to_bytes(2, "big"), text)
    return b"\x81\x7f%b%b" % (length.to_bytes(8, "big"), text)


class ByteBuffer(WebsocketBuffer):
    """hypercorn's message buffer, fixed to limit the bytes of a text and not its characters."""

    def extend(self, event: Message[str] | Message[bytes | bytearray]) -> None:
        """Add a part of the message. Raises `FrameTooLargeError` if it becomes too large."""
        super().extend(event)
        data = event.data
        if isinstance(data, str) and not data.isascii():
            self.length += len(data.encode()) - len(data)
            if self.length > self.max_length:
                raise FrameTooLargeError


class WebsocketStream(Yielding, WSStream):
    """hypercorn's stream, fixed to close properly on errors.

    - Invalid frames are answered with 1002 or 1007; hypercorn closes without a close frame.
    - Messages that are too large are answered with 1009; hypercorn keeps reading afterwards.
    - Data before the end of the handshake, which RFC 6455 §4.1 forbids, ends the connection;
      hypercorn answers 400, maybe in the middle of another response, and never reports the
      disconnect to the app.
    - Extensions are declined: hypercorn's would inflate 64 KiB to 64 MiB at a time.
    """

    def __init__(self, context: ProtocolContext, send: StreamSend) -> None:
        super().__init__(*context.served, *context.peers, send, STREAM_ID)
        self.buffer = ByteBuffer(context.shared.config.websocket_max_message_size)
        self._wire = context.wire

    async def handle(self, event: Event) -> None:
        """Handle a handshake, data, or the end."""
        if isinstance(event, Body | Data) and not self.closed and not self.handshake.accepted:
            await self.send(StreamClosed(stream_id=self.stream_id))
        elif isinstance(event, Request):
            headers = [header for header in event.headers if header[0] != _EXTENSIONS]
            await super().handle(replace(event, headers=headers))
        else:
            await super().handle(event)

    async def app_send(self, message: ASGISendEvent | None) -> None:
        """Handle a message from the app; None means that the app has returned.

        Some calls are checkpoints, so that an app that always has more to send yields (see
        `Yielding`). A `websocket.send` with `TEXTS` has many messages, framed here and written
        at once.
        """
        texts = None if message is None else cast("dict[str, list[bytes]]", message).get(TEXTS)
        if texts is None:
            await super().app_send(message)
        elif self._is_open:
            rest = self._wire.write_now(b"".join(map(text_frame, texts)))
            if rest:
                await self._wire.write_rest(rest)
        if message is not None and message["type"] == "websocket.send":
            await self._yield_sometimes()

    @property
    def _is_open(self) -> bool:
        """True if messages can be sent: neither side has sent a close frame."""
        accepted = not self.closed and self.state is ASGIWebsocketState.CONNECTED
        return accepted and self.connection.state is ConnectionState.OPEN

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
        """Handle a close by the client, or by wsproto after a protocol error."""
        if self.connection.state is ConnectionState.REMOTE_CLOSING:
            event = event.response()
        await self._end(event)

    async def _end(self, event: CloseConnection) -> None:
        await self._send_wsproto_event(event)
        await self.send(StreamClosed(stream_id=self.stream_id))
