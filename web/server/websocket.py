"""hypercorn's side of a WebSocket, with an end that the client can understand."""

from hypercorn.protocol.events import Body, Data, Event, StreamClosed
from hypercorn.protocol.h11 import STREAM_ID
from hypercorn.protocol.ws_stream import FrameTooLargeError, WSStream
from wsproto.connection import ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.frame_protocol import CloseReason

from web.server.wire import StreamSend, Surroundings


class WebsocketStream(WSStream):
    """Says why it closes on broken frames (1002, 1007) and on messages too long (1009).

    hypercorn cuts the first without a word, and goes on listening after the second. Data ahead
    of the handshake's end, which RFC 6455 §4.1 forbids, ends the connection; hypercorn answers
    400, maybe into the middle of another answer, and never tells the app that its client is gone.
    """

    def __init__(self, surroundings: Surroundings, send: StreamSend) -> None:
        at = surroundings
        super().__init__(
            at.app, at.config, at.context, at.tasks, at.ssl, at.client, at.server, send, STREAM_ID
        )

    async def handle(self, event: Event) -> None:
        """Take a handshake, data, or the end."""
        if isinstance(event, Body | Data) and not self.closed and not self.handshake.accepted:
            await self.send(StreamClosed(stream_id=self.stream_id))
        else:
            await super().handle(event)

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
