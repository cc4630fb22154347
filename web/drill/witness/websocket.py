"""Carries Responses calls over a WebSocket, one after the other on one connection.

Answers and faults are those of the HTTP stream; each event is one message.
"""

from collections import deque

import msgspec
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError, generate_accept_token

from actors.providers.simulated.options.behaviour import Fault
from actors.turn.outcome import ErrorInfo
from web.drill.witness.formats.base import WireFormat, rejection_of
from web.drill.witness.formats.openai_responses import WIRE
from web.drill.witness.http1 import (
    MAX_BODY,
    NOISE,
    After,
    Endpoint,
    HttpTransport,
    Request,
    response_head,
)
from web.http.api_error import ApiError, invalid
from web.http.json_body import json_object


def accept_socket(request: Request) -> bytes | None:
    """Return the response to a handshake (RFC 6455 §4.2.1), or None for any other request."""
    key = request.headers.get("sec-websocket-key")
    upgrade = request.headers.get("upgrade", "").lower()
    wanted = (request.method, upgrade) == ("GET", "websocket") and WIRE.matches(request.path)
    if key is None or not wanted:
        return None
    accept = ("Sec-WebSocket-Accept", generate_accept_token(key.encode("latin-1")).decode())
    return response_head(101, [("Upgrade", "websocket"), ("Connection", "Upgrade"), accept])


class SocketTransport:
    """A WebSocket with the interface of `HttpTransport`, on which each frame is a message.

    `early` are bytes received after the handshake.
    """

    def __init__(self, endpoint: Endpoint, handshake: Request, early: bytes) -> None:
        self._endpoint = endpoint
        self._handshake = handshake
        self._protocol = Connection(ConnectionType.SERVER)
        self._partial = bytearray()
        """Beginning of a message that is not complete yet."""
        self._received: deque[bytes] = deque()
        self._replies = b""
        """Pongs and close frames that are not sent yet."""
        self._closed = False
        """True once the peer has sent a close frame, invalid data or too large a message."""
        self.keep(early)

    def keep(self, data: bytes) -> bool:
        """Take received bytes; return False once the peer has closed the socket."""
        try:
            self._protocol.receive_data(data)
            for event in self._protocol.events():
                self._take(event)
        except RemoteProtocolError:
            self._closed = True
        return not self._closed

    async def read(self) -> Request | None:
        """Return the next call as a POST request, or None at the end of the connection."""
        while (message := await self._message()) is not None:
            try:
                return self._request(message)
            except ApiError as error:
                await self._endpoint.send(self.rejection(rejection_of(error), WIRE))
        return None

    async def _message(self) -> bytes | None:
        while not self._received:
            await self._endpoint.send(self._take_replies())
            if self._closed or not (data := await self._endpoint.receive()):
                return None
            self.keep(data)
        return self._received.popleft()

    def _request(self, message: bytes) -> Request:
        """Return the call in a message as the equivalent POST request. Raises `ApiError`."""
        document = json_object(message, "message")
        if document.pop("type", None) != "response.create":
            raise invalid("type: must be response.create.", param="type")
        body = msgspec.json.encode({**document, "stream": True})
        return msgspec.structs.replace(self._handshake, method="POST", body=body)

    def rejection(self, rejection: ErrorInfo, wire: WireFormat) -> bytes:
        """Return a rejection as an error event, with status and headers in the event."""
        error = msgspec.json.decode(wire.error_body(rejection))["error"]
        if rejection.retry_after_s is not None:
            error["headers"] = {"Retry-After": f"{rejection.retry_after_s:g}"}
        event = {"type": "error", "status": rejection.status, "error": error}
        return self._text(msgspec.json.encode(event))

    def opening(self, fault: Fault) -> tuple[bytes, After]:
        """See `HttpTransport`."""
        return NOISE, After.CLOSE  # on a WebSocket, HTML and garbage are both just noise

    def head(self, stream_type: str) -> bytes:
        """See `HttpTransport`."""
        return b""

    def data(self, frames: bytes) -> bytes:
        """See `HttpTransport`."""
        messages = [self._text(_json_of(frame)) for frame in frames.split(b"\n\n") if frame]
        return self._take_replies() + b"".join(messages)

    def cut_short(self, half: bytes) -> bytes:
        """See `HttpTransport`."""
        return b"\x81\x7e" + (2 * len(half)).to_bytes(2) + half

    def last(self, *, complete: bool) -> bytes:
        """See `HttpTransport`."""
        return b"" if complete else self._send(CloseConnection(1000))

    def _take(self, event: Event) -> None:
        match event:
            case TextMessage(data=text):
                self._add(text.encode(), event.message_finished)
            case BytesMessage(data=data):
                self._add(bytes(data), event.message_finished)
            case Ping():
                self._replies += self._protocol.send(event.response())
            case CloseConnection():
                self._closed = True
                self._replies += self._send(event.response())

    def _add(self, part: bytes, finished: bool) -> None:
        self._partial += part
        self._closed = self._closed or len(self._partial) > MAX_BODY
        if finished:
            self._received.append(bytes(self._partial))
            self._partial.clear()

    def _take_replies(self) -> bytes:
        replies, self._replies = self._replies, b""
        return replies

    def _text(self, message: bytes) -> bytes:
        return self._send(TextMessage(message.decode()))

    def _send(self, event: Event) -> bytes:
        """Return a frame, or nothing if either side has closed the socket."""
        try:
            return self._protocol.send(event)
        except LocalProtocolError:
            return b""


Transport = HttpTransport | SocketTransport


def _json_of(frame: bytes) -> bytes:
    """Return the data of a server-sent event; errors have another shape on a WebSocket."""
    name, _, data = frame.partition(b"\ndata: ")
    if name != b"event: error":
        return data
    document = msgspec.json.decode(data)
    error = {key: document[key] for key in ("code", "message", "param")}
    event = {"type": "error", "sequence_number": document["sequence_number"]}
    return msgspec.json.encode(event | {"error": {**error, "type": "server_error"}})
