"""HTTP/1.1: hypercorn's protocol with a fast path for streamed bodies."""

import re
from enum import Enum, auto
from typing import cast

import h11
from hypercorn.events import Closed
from hypercorn.protocol.events import Body, EndBody, Response, StreamClosed
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import STREAM_ID, H2ProtocolAssumedError, H11Protocol, H11WSConnection
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.typing import ASGISendEvent, ConnectionState
from hypercorn.utils import suppress_body

from web.server.protocols.base import AppStream, ProtocolContext
from web.server.protocols.strict_http import (
    Headers,
    RequestRefused,
    StrictBuffer,
    check_framing,
    check_handshake,
    error_body,
    request_event,
)
from web.server.protocols.websocket import WebsocketStream
from web.server.request_id import header_of, state_with_id

_FRAMING = frozenset({b"connection", b"content-length", b"transfer-encoding", b"upgrade"})
"""Headers that h11 has to see. The others bypass it, because it validates each one slowly."""

_LINES = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+: (?:[^\x00\s]+(?:[ \t]+[^\x00\s]+)*)?\r\n)*")
"""Header lines that h11 accepts: RFC 9110 §5.5, with any byte but white space and NUL in values."""

_MESSAGES = {
    400: "The request is not valid HTTP.",
    408: "The request's headers took too long to arrive.",
    431: "The request's headers are too large.",
    501: "Transfer-Encoding must be chunked.",
    505: "Unsupported HTTP version. Use HTTP/1.1.",
}


class Framing(Enum):
    """The way in which a response marks the end of its body."""

    LENGTH = auto()
    """`Content-Length`, or no body at all."""
    CHUNKED = auto()
    CLOSE = auto()
    """The end of the connection, for HTTP/1.0."""


class Http1Stream(AppStream):
    """An HTTP/1.1 request and its response.

    Parts of a chunked body are framed and written here directly, instead of being converted to
    hypercorn's and then to h11's events. h11 only sees the head and the end.
    """

    def __init__(self, context: ProtocolContext, protocol: "Http1Protocol") -> None:
        super().__init__(context, protocol.stream_send, STREAM_ID)
        self._protocol = protocol
        self._wire = context.wire
        self.chunked = False
        """True once the protocol has sent the head of a chunked response."""

    async def app_send(self, message: ASGISendEvent | None) -> None:
        """Handle a message from the app; write parts of a chunked body straight to the socket."""
        if not self.chunked or message is None or message["type"] != "http.response.body":
            await super().app_send(message)
        elif message.get("more_body"):
            body = message["body"]
            if body and not self.closed:
                rest = self._wire.write_now(self._protocol.take_held() + _chunk(body))
                if rest:
                    await self._wire.write_rest(rest)
            await self._yield_sometimes()
        else:
            if message.get("body") and not self.closed:
                self._protocol.hold(_chunk(message["body"]))
                message = {**message, "body": b""}
            await super().app_send(message)


def _chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


class Http1Protocol(H11Protocol):
    """hypercorn's HTTP/1.1 without the upgrade to HTTP/2, with JSON errors and fewer writes.

    The head of a response is held until the first bytes of the body, as ASGI requires, and the
    last bytes until the end. A short response is therefore one write.
    """

    def __init__(self, context: ProtocolContext, *, http2: bool) -> None:
        super().__init__(*context.served, ConnectionState({}), *context.peers, context.send)
        self._protocol_context = context
        self._wire = context.wire
        self._http2 = http2
        self._framing = Framing.LENGTH
        self._held = b""
        self._refused = False
        self._buffer = StrictBuffer()
        cast("h11.Connection", self.connection)._receive_buffer = self._buffer
        self._id_header: tuple[bytes, bytes]

    @property
    def takes_bytes(self) -> bool:
        """True if received bytes are processed now; else they wait for a response to end."""
        connection = self.connection
        return not isinstance(connection, h11.Connection) or (
            connection.their_state in {h11.IDLE, h11.SEND_BODY}
        )

    @property
    def buffered_bytes(self) -> int:
        """Number of received bytes that wait for the rest of their line, or for a response."""
        return len(self.connection.trailing_data[0])

    async def on_head_timeout(self) -> None:
        """Answer 408, unless no part of a head has arrived."""
        if isinstance(self.connection, h11.Connection) and self.connection.trailing_data[0]:
            await self._send_error_response(408)

    async def on_malformed(self) -> None:
        """Answer 400, or close a WebSocket with 1002; do nothing if a response has begun."""
        if isinstance(self.stream, WebsocketStream):
            await self.stream.on_malformed()
        if self._h11.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            await self._send_error_response(400)

    @property
    def _h11(self) -> h11.Connection:
        connection = self.connection
        return connection if isinstance(connection, h11.Connection) else connection.h11_connection

    async def stream_send(self, event: StreamEvent) -> None:
        """Write an event of the response."""
        if isinstance(event, Body):
            await self._write(self._encode(h11.Data(data=event.data)))
        elif isinstance(event, Response) and event.status_code >= 200:
            await self._send_head(event)
        elif isinstance(event, EndBody):
            await self._write(self._encode(h11.EndOfMessage()))
        else:
            if isinstance(event, StreamClosed):
                await self._write(b"")
            await super().stream_send(event)

    async def _send_head(self, event: Response) -> None:
        framing = [field for field in event.headers if field[0].lower() in _FRAMING]
        fields = _lines([field for field in event.headers if field not in framing])
        if self._protocol_context.shared.leaving.is_set():
            framing.append((b"connection", b"close"))
        head = self._encode(h11.Response(headers=framing, status_code=event.status_code))
        self._framing = self._framing_of(event)
        if head:
            common = self._protocol_context.shared.config.response_fields()
            fields += b"%b: %b\r\n" % self._id_header + common
            self._held = head[:-2] + fields + b"\r\n"
        if isinstance(self.stream, Http1Stream):
            self.stream.chunked = self._framing is Framing.CHUNKED

    def _framing_of(self, event: Response) -> Framing:
        """Return the framing that h11 chooses for this response."""
        stream = self.stream
        if (
            not isinstance(stream, HTTPStream)
            or suppress_body(stream.scope["method"], event.status_code)
            or stream.scope["method"] == "CONNECT"
            or any(name.lower() == b"content-length" for name, _ in event.headers)
        ):
            return Framing.LENGTH
        return Framing.CHUNKED if stream.scope["http_version"] >= "1.1" else Framing.CLOSE

    def _encode(self, event: h11.Response | h11.Data | h11.EndOfMessage) -> bytes:
        """Return the event's bytes; `b""` if the request was answered with an error."""
        try:
            return self.connection.send(event)
        except h11.LocalProtocolError:
            if not self._refused and self.connection.their_state != h11.ERROR:
                raise
            return b""

    def hold(self, data: bytes) -> None:
        """Keep `data` to be sent together with the next write."""
        self._held += data

    def take_held(self) -> bytes:
        """Return the held data, which must be sent before anything else, and clear it."""
        held, self._held = self._held, b""
        return held

    async def _write(self, data: bytes) -> None:
        data = self.take_held() + data
        if data:
            await self._wire.write(data)

    async def _maybe_recycle(self) -> None:
        # Without Content-Length or chunks, only a reset shows the client that the body is cut off.
        if self._framing is Framing.CLOSE and self.connection.our_state is h11.SEND_BODY:
            self._wire.reset()
        await super()._maybe_recycle()

    async def _check_protocol(self, event: h11.Request) -> None:
        """Switch to HTTP/2 with prior knowledge, if enabled; ignore `Upgrade: h2c`."""
        if self._http2 and (event.method, event.target, event.http_version) == (
            b"PRI",
            b"*",
            b"2.0",
        ):
            head = b"PRI * HTTP/2.0\r\n\r\n"
            raise H2ProtocolAssumedError(head + self.connection.trailing_data[0])

    async def _create_stream(self, request: h11.Request) -> None:
        try:
            await self._begin(request, list(request.headers))
        except RequestRefused as refused:
            await self._send_error_response(refused.status, refused.message, refused.headers)
            await self.send(Closed())

    async def _begin(self, request: h11.Request, headers: Headers) -> None:
        version = request.http_version.decode()
        if version not in {"1.0", "1.1"}:
            raise RequestRefused(505, _MESSAGES[505])
        check_framing(request.http_version, headers)
        event = request_event(STREAM_ID, version, request.method, request.target, headers)
        self._id_header = header_of(event.state)
        if _is_websocket(request):
            check_handshake(headers)
            self.stream = WebsocketStream(self._protocol_context, self.stream_send)
            self.connection = H11WSConnection(self._h11)
        else:
            self.stream = Http1Stream(self._protocol_context, self)
            self._framing = Framing.LENGTH
        await self.stream.handle(event)

    async def _send_error_response(
        self, status_code: int, message: str = "", fields: Headers | None = None
    ) -> None:
        message = message or self._buffer.fault or _MESSAGES.get(status_code, _MESSAGES[400])
        body = error_body(message)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            *(fields or ()),
            header_of(state_with_id(())),
            *self.config.response_headers("h11"),
        ]
        head = self._encode(h11.Response(headers=headers, status_code=status_code))
        self._refused = True
        if head:
            await self._write(head + self._encode(h11.Data(data=body)))
            self._encode(h11.EndOfMessage())


def _lines(headers: list[tuple[bytes, bytes]]) -> bytes:
    """Return the headers as bytes. Raises `h11.LocalProtocolError` if one is invalid.

    This also rejects values with line breaks, which would inject further headers.
    """
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    if lines.count(b"\n") != len(headers) or not _LINES.fullmatch(lines):
        raise h11.LocalProtocolError("a header of the response is not valid HTTP")
    return lines


def _is_websocket(request: h11.Request) -> bool:
    """Return True for a WebSocket upgrade request. h11 has lowercased the header names."""
    if request.method != b"GET" or request.http_version != b"1.1":
        return False
    headers = dict(request.headers)
    connection = headers.get(b"connection", b"").lower().split(b",")
    return headers.get(b"upgrade", b"").strip().lower() == b"websocket" and (
        b"upgrade" in {token.strip() for token in connection}
    )
