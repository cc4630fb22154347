"""Server side of a WebSocket, and stream frames as WebSocket messages, sans IO."""

import msgspec
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from web.drill.witness.http1 import MAX_BODY


class Messages:
    """Messages of the server side of a WebSocket."""

    def __init__(self) -> None:
        self._protocol = Connection(ConnectionType.SERVER)
        self._parts: list[bytes] = []
        self._size = 0
        self._replies: list[bytes] = []
        self.received: list[bytes] = []
        """Complete received messages, oldest first."""
        self.closed = False
        """True once the peer has sent a close frame, invalid data or too large a message."""

    def feed(self, data: bytes) -> None:
        """Take received bytes."""
        try:
            self._protocol.receive_data(data)
            self._replies.extend(self._take(event) for event in self._protocol.events())
        except RemoteProtocolError:
            self.closed = True

    def replies(self) -> bytes:
        """Return and forget the pending replies: pongs and close frames."""
        replies = b"".join(self._replies)
        self._replies.clear()
        return replies

    def _take(self, event: object) -> bytes:
        match event:
            case TextMessage(data=text):
                self._add(text.encode(), event.message_finished)
            case BytesMessage(data=data):
                self._add(bytes(data), event.message_finished)
            case Ping():
                return self._protocol.send(event.response())
            case CloseConnection():
                self.closed = True
                return self._reply(event)
        return b""

    def _add(self, part: bytes, finished: bool) -> None:
        self._parts.append(part)
        self._size += len(part)
        self.closed = self.closed or self._size > MAX_BODY
        if finished:
            self.received.append(b"".join(self._parts))
            self._parts.clear()
            self._size = 0

    def _reply(self, event: CloseConnection) -> bytes:
        try:
            return self._protocol.send(event.response())
        except LocalProtocolError:  # the peer's frame answers our own close frame
            return b""

    def text(self, message: bytes) -> bytes:
        """Return a framed text message, or nothing if the peer has sent a close frame."""
        try:
            return self._protocol.send(TextMessage(message.decode()))
        except LocalProtocolError:
            return b""

    def close(self, code: int) -> bytes:
        """Return a close frame that starts the closing handshake."""
        return self._reply(CloseConnection(code))


class MessageFraming:
    """A `web.drill.witness.send_stream.Framing` that sends each event as a message."""

    def __init__(self, messages: Messages) -> None:
        self._messages = messages

    def head(self, stream_type: str) -> bytes:
        return b""

    def data(self, frames: bytes) -> bytes:
        document = [self._messages.text(_json_of(one)) for one in frames.split(b"\n\n") if one]
        return self._messages.replies() + b"".join(document)

    def cut_short(self, half: bytes) -> bytes:
        return b"\x81\x7e" + (2 * len(half)).to_bytes(2) + half

    def last(self) -> bytes:
        return b""

    def end_early(self) -> bytes:
        return self._messages.close(1000)


def _json_of(frame: bytes) -> bytes:
    """Return the data of a server-sent event; errors have another shape on a WebSocket."""
    name, _, data = frame.partition(b"\ndata: ")
    if name != b"event: error":
        return data
    document = msgspec.json.decode(data, type=dict[str, object])
    error = {key: document[key] for key in ("code", "message", "param")}
    event = {**error, "type": "server_error"}
    number = document["sequence_number"]
    return msgspec.json.encode({"type": "error", "sequence_number": number, "error": event})
