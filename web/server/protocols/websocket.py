"""WebSockets: hypercorn's stream, fixed to close with the right codes and to send batches."""

from dataclasses import replace
from typing import cast

import structlog
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
from wsproto.events import Event as FrameEvent
from wsproto.frame_protocol import CloseReason

from web.server.protocols.base import ProtocolContext, StreamSend, Yielding
from web.server.protocols.frame_limits import FRAMES_IN_A_ROW, ControlRate
from web.server.protocols.websocket_timers import WebsocketTimers
from web.server.receive_queue import queue_of

TEXTS = "trouper.texts"
"""Extra field of a `websocket.send` event: several text messages in UTF-8."""
_EXTENSIONS = b"sec-websocket-extensions"

_log = structlog.stdlib.get_logger("trouper.http")


def text_frame(text: bytes) -> bytes:
    """Return a complete text message as an unmasked frame (RFC 6455 §5.2)."""
    length = len(text)
    if length < 126:
        return b"\x81%c%b" % (length, text)
    if length < 65_536:
        return b"\x81\x7e%b%b" % (length.to_bytes(2, "big"), text)
    return b"\x81\x7f%b%b" % (length.to_bytes(8, "big"), text)


class MessageBuffer(WebsocketBuffer):
    """Buffer of one message, with its size limited in bytes.

    Text is kept as UTF-8. In hypercorn's `StringIO`, a single emoji makes each character take four
    bytes, and the limit is in characters.
    """

    def __init__(self, max_length: int) -> None:
        super().__init__(max_length)
        self._is_text = False
        self._parts = bytearray()

    def extend(self, event: Message[str] | Message[bytes | bytearray]) -> None:
        """Add a part of the message. Raises `FrameTooLargeError` if it becomes too large."""
        data = event.data
        self._is_text = isinstance(data, str)
        self._parts += data.encode() if isinstance(data, str) else data
        self.length = len(self._parts)
        if self.length > self.max_length:
            raise FrameTooLargeError

    def clear(self) -> None:
        """Start the next message."""
        self._parts = bytearray()
        self.length = 0

    def to_message(self) -> dict[str, object]:
        """Return the message as an ASGI event."""
        text = self._parts.decode() if self._is_text else None
        binary = None if self._is_text else bytes(self._parts)
        return {"type": "websocket.receive", "bytes": binary, "text": text}


class WebsocketStream(Yielding, WSStream):
    """hypercorn's stream, fixed to close properly on errors.

    - Invalid frames are answered with 1002 or 1007; hypercorn closes without a close frame.
    - Messages that are too large are answered with 1009; hypercorn keeps reading afterwards.
    - Data before the end of the handshake, which RFC 6455 §4.1 forbids, ends the connection;
      hypercorn answers 400, maybe in the middle of another response, and never reports the
      disconnect to the app.
    - Extensions are declined: hypercorn's would inflate 64 KiB to 64 MiB at a time.
    - A missing pong, an unfinished message, and too many frames without data end the connection.
    """

    def __init__(self, context: ProtocolContext, send: StreamSend) -> None:
        super().__init__(*context.served, *context.peers, send, STREAM_ID)
        settings = context.shared.settings
        now = trio.current_time()
        self.buffer = MessageBuffer(settings.websocket_message_bytes)
        self._wire = context.wire
        self._counters = context.shared.counters
        self._timers = WebsocketTimers(settings.websocket_ping_s, settings.body_s, now)
        self._alarm = trio.CancelScope()
        self._rate = ControlRate(now)

    async def handle(self, event: Event) -> None:
        """Handle a handshake, data, or the end."""
        if isinstance(event, Body | Data) and not self.closed and not self.handshake.accepted:
            await self.send(StreamClosed(stream_id=self.stream_id))
        elif isinstance(event, Request):
            headers = [header for header in event.headers if header[0] != _EXTENSIONS]
            await super().handle(replace(event, headers=headers))
        elif not (isinstance(event, Data) and self._timers.refused):  # the close may have to wait
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

    async def on_malformed(self) -> None:
        """Close with 1002 if the handshake is complete."""
        if self._is_open:
            await self._end(CloseConnection(code=CloseReason.PROTOCOL_ERROR))

    @property
    def _is_open(self) -> bool:
        """True if messages can be sent: neither side has sent a close frame."""
        accepted = not self.closed and self.state is ASGIWebsocketState.CONNECTED
        return accepted and self.connection.state is ConnectionState.OPEN

    async def _handle_events(self) -> None:
        self._timers.on_data()
        for number, event in enumerate(self.connection.events(), 1):
            if number % FRAMES_IN_A_ROW == 0:
                await trio.lowlevel.checkpoint()
            if self.closed or self._timers.refused:
                return
            if not (_carries_data(event) or self._rate.allows(trio.current_time())):
                await self._on_flood()
            elif isinstance(event, TextMessage | BytesMessage):
                await self._on_message(event)
            elif isinstance(event, Ping):
                await self._send_wsproto_event(event.response())
            elif isinstance(event, CloseConnection):
                await self._on_close(event)

    async def _on_flood(self) -> None:
        self._counters.frame_limits_exceeded += 1
        _log.info("frame limit exceeded", client=self.client)
        await self._end(CloseConnection(CloseReason.POLICY_VIOLATION, "Too many empty frames."))

    async def _on_message(self, event: TextMessage | BytesMessage) -> None:
        try:
            self.buffer.extend(event)
        except FrameTooLargeError:
            await self._end(CloseConnection(code=CloseReason.MESSAGE_TOO_BIG))
            return
        if not event.message_finished:
            self._on_unfinished()
        elif self.app_put is not None:
            self._timers.on_message()
            message = self.buffer.to_message()
            self.buffer.clear()
            queue_of(self.scope).reception.resize(0)
            await self.app_put(message)

    def _on_unfinished(self) -> None:
        queue = queue_of(self.scope)
        if self._timers.on_part(self.buffer.length, trio.current_time()):
            queue.when_refused(self._on_refused)
            self._alarm.deadline = self._timers.next_at
        queue.reception.resize(self.buffer.length)

    def _on_refused(self) -> None:
        """Drop the message, because too much is being received, and let the timer's task close.

        The caller handles data of another connection, so this must neither wait nor fail.
        """
        self.buffer.clear()
        self._timers.on_refused()
        self._alarm.deadline = self._timers.next_at

    async def _send_pings(self) -> None:
        """Send pings, and close the connection if the client misses a deadline."""
        while not self.closed:
            with trio.CancelScope(deadline=self._timers.next_at) as self._alarm:
                await trio.sleep_forever()
            due = self._timers.due(trio.current_time())
            if isinstance(due, CloseConnection):
                _log.info("websocket closed by server", client=self.client, reason=due.reason)
                await self._end(due)
            elif due is not None:
                await self._send_wsproto_event(due)

    async def _on_close(self, event: CloseConnection) -> None:
        """Handle a close by the client, or by wsproto after a protocol error."""
        if self.connection.state is ConnectionState.REMOTE_CLOSING:
            event = event.response()
        await self._end(event)

    async def _end(self, event: CloseConnection) -> None:
        await self._send_wsproto_event(event)
        await self.send(StreamClosed(stream_id=self.stream_id))


def _carries_data(event: FrameEvent) -> bool:
    """Return False for control frames and empty parts of a message, which cost the client little.

    A close frame ends the connection anyway.
    """
    if isinstance(event, TextMessage | BytesMessage):
        return bool(event.data) or event.message_finished
    return isinstance(event, CloseConnection)
