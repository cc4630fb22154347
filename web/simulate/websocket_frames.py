"""A WebSocket's frames on the server's side, and a stream's frames as messages. Sans IO."""

import msgspec
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from web.simulate.http1 import MAX_BODY


class Messages:
    """A server's side of a WebSocket, sans IO."""

    def __init__(self) -> None:
        self._protocol = Connection(ConnectionType.SERVER)
        self._parts: list[bytes] = []
        self._size = 0
        self._replies: list[bytes] = []
        self.arrived: list[bytes] = []
        """Whole messages, the first first."""
        self.closed = False
        """The peer has said goodbye, or what is none of the protocol."""

    def feed(self, data: bytes) -> None:
        """Take what came."""
        try:
            self._protocol.receive_data(data)
            self._replies.extend(self._take(event) for event in self._protocol.events())
        except RemoteProtocolError:
            self.closed = True

    def replies(self) -> bytes:
        """What is to be sent for what came: pongs and goodbyes."""
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
            self.arrived.append(b"".join(self._parts))
            self._parts.clear()
            self._size = 0

    def _reply(self, event: CloseConnection) -> bytes:
        try:
            return self._protocol.send(event.response())
        except LocalProtocolError:  # it answers what we said ourselves
            return b""

    def text(self, message: bytes) -> bytes:
        """A message as it goes over the wire; nothing where the peer has said goodbye."""
        try:
            return self._protocol.send(TextMessage(message.decode()))
        except LocalProtocolError:
            return b""

    def goodbye(self, code: int) -> bytes:
        """A closing handshake begun by us."""
        return self._reply(CloseConnection(code))


class AsMessages:
    """The framing (`web.simulate.framing.Framing`): each event is a message."""

    def __init__(self, messages: Messages) -> None:
        self._messages = messages

    def head(self, stream_type: str) -> bytes:
        return b""

    def data(self, frames: bytes) -> bytes:
        told = [self._messages.text(_json_of(one)) for one in frames.split(b"\n\n") if one]
        return self._messages.replies() + b"".join(told)

    def half(self, half: bytes) -> bytes:
        return b"\x81\x7e" + (2 * len(half)).to_bytes(2) + half

    def last(self) -> bytes:
        return b""

    def farewell(self) -> bytes:
        return self._messages.goodbye(1000)


def _json_of(frame: bytes) -> bytes:
    """The data of a server-sent event; an error is told otherwise over a WebSocket."""
    name, _, data = frame.partition(b"\ndata: ")
    if name != b"event: error":
        return data
    told = msgspec.json.decode(data, type=dict[str, object])
    error = {key: told[key] for key in ("code", "message", "param")}
    event = {**error, "type": "server_error"}
    number = told["sequence_number"]
    return msgspec.json.encode({"type": "error", "sequence_number": number, "error": event})
