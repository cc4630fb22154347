"""Minimal HTTP/1.1 for the simulated provider, on connections that can be closed or reset.

h11 reads the requests. The responses are written here, since most faults break their framing.
"""

import socket
import struct
from collections.abc import Sequence
from enum import Enum, auto
from http import HTTPStatus

import h11
import trio
from msgspec import Struct

from actors.providers.simulated.options.behaviour import Fault, FaultKind
from actors.turn.outcome import ErrorInfo
from web.drill.witness.formats.base import WireFormat
from web.http.api_error import invalid

_READ = 65_536
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

MAX_BODY = 32 * 2**20
"""Maximum number of bytes of a request body; a longer one gets 413."""

JSON_TYPE = "application/json"
NOISE = b"\xff\xfe this is not a chunk \x00\r\n"

_LAST_CHUNK = b"0\r\n\r\n"
_GARBAGE = b"\x16\x03\x01\x02\x00\x01 this is not HTTP\r\n\r\n"
_HTML = b"""<!DOCTYPE html>
<html><head><title>Simulated gateway</title></head>
<body><h1>This is not the answer that you asked for.</h1></body></html>
"""


class After(Enum):
    """Action on the connection after a response."""

    KEEP = auto()
    CLOSE = auto()
    RESET = auto()


class Request(Struct, frozen=True):
    """A whole request; header names are in lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def target(self) -> str:
        """Path with the query, if any."""
        return f"{self.path}?{self.query}" if self.query else self.path


class Endpoint:
    """A connected socket, which can be closed or reset.

    It bypasses trio's streams, because in a benchmark the simulated provider should cost no more
    than one `send` per token.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = sock

    async def receive(self) -> bytes:
        """Wait for bytes; `b""` is the peer's FIN. Raises `trio.BrokenResourceError`."""
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            try:
                return self._socket.recv(_READ)
            except BlockingIOError:
                continue
            except OSError as error:
                raise trio.BrokenResourceError(str(error)) from None

    async def send(self, data: bytes) -> None:
        """Send all of `data`. Raises `trio.BrokenResourceError`.

        Not a checkpoint if the socket accepts everything at once; callers sleep between sends.
        """
        sent = self._send_some(data)
        while sent < len(data):
            await trio.lowlevel.wait_writable(self._socket)
            sent += self._send_some(data[sent:])

    def close(self, *, reset: bool) -> None:
        """End the connection with a FIN or an RST."""
        if reset:
            # With a linger time of 0 the kernel sends RST instead of FIN and drops unsent data.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._socket.close()

    def _send_some(self, data: bytes) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise trio.BrokenResourceError(str(error)) from None


class HttpTransport:
    """HTTP/1.1 with chunked bodies: carries calls and the frames of their answers."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._buffered = b""

    async def read(self) -> Request | None:
        """Return the next request, or None at the end of the connection.

        Raises `ApiError` for a request that isn't HTTP, and `trio.BrokenResourceError`.
        """
        parser = h11.Connection(h11.SERVER)
        if self._buffered:
            parser.receive_data(self.take_rest())
        try:
            request = await self._read(parser)
        except h11.RemoteProtocolError as error:
            raise invalid(str(error), status=error.error_status_hint) from None
        self._buffered = parser.trailing_data[0]
        return request

    def keep(self, data: bytes) -> bool:
        """Keep bytes received during an answer; return False if there are too many."""
        self._buffered += data
        return len(self._buffered) <= MAX_BODY

    def take_rest(self) -> bytes:
        """Return and forget the bytes received after the last request."""
        rest, self._buffered = self._buffered, b""
        return rest

    def rejection(self, rejection: ErrorInfo, wire: WireFormat) -> bytes:
        """Return an error response."""
        retry = rejection.retry_after_s
        headers = [] if retry is None else [("Retry-After", f"{retry:g}")]
        return whole_response(rejection.status, wire.error_body(rejection), headers=headers)

    def opening(self, fault: Fault) -> tuple[bytes, After]:
        """Return the bytes of a fault that replaces the response, and what follows them."""
        if fault.kind is FaultKind.HTML:
            return whole_response(fault.status, _HTML, "text/html; charset=utf-8"), After.KEEP
        return _GARBAGE, After.CLOSE

    def head(self, stream_type: str) -> bytes:
        """Return the bytes before the first frame of an answer."""
        return chunked_head(stream_type, [("Cache-Control", "no-cache")])

    def data(self, frames: bytes) -> bytes:
        """Return the framed data; empty if there are no frames."""
        # An empty chunk would end the body.
        return b"%x\r\n%b\r\n" % (len(frames), frames) if frames else b""

    def cut_short(self, half: bytes) -> bytes:
        """Return framed data that announces twice its length, so that the framing is cut too."""
        return b"%x\r\n%b" % (2 * len(half), half)

    def last(self, *, complete: bool) -> bytes:
        """Return the regular end of a stream, whose answer may be incomplete."""
        return _LAST_CHUNK

    async def _read(self, parser: h11.Connection) -> Request | None:
        head = await self._event(parser)
        if not isinstance(head, h11.Request):
            return None
        if head.http_version != b"1.1":
            raise invalid("only HTTP/1.1 is supported", status=505)
        body = bytearray()
        while isinstance(event := await self._event(parser), h11.Data):
            body += event.data
            if len(body) > MAX_BODY:
                raise invalid(f"the body is longer than {MAX_BODY} bytes", status=413)
        return _request(head, bytes(body)) if isinstance(event, h11.EndOfMessage) else None

    async def _event(self, parser: h11.Connection) -> object:
        while (event := parser.next_event()) is h11.NEED_DATA:
            if parser.they_are_waiting_for_100_continue:
                parser.send(h11.InformationalResponse(status_code=100, headers=[]))
                await self._endpoint.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            parser.receive_data(await self._endpoint.receive())
        return event


def chunked_head(type: str, headers: Sequence[tuple[str, str]] = ()) -> bytes:
    """Return the head of a response with a chunked body."""
    framing = ("Transfer-Encoding", "chunked")
    return response_head(200, [("Content-Type", type), *headers, framing])


def response_head(status: int, headers: Sequence[tuple[str, str]]) -> bytes:
    """Return the head of a response."""
    phrase = next((s.phrase for s in HTTPStatus if s == status), "Simulated")
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def whole_response(
    status: int, body: bytes, type: str = JSON_TYPE, headers: Sequence[tuple[str, str]] = ()
) -> bytes:
    """Return a response with a known body."""
    length = ("Content-Length", str(len(body)))
    return response_head(status, [("Content-Type", type), length, *headers]) + body


def _request(head: h11.Request, body: bytes) -> Request:
    target, _, query = head.target.decode("ascii").partition("?")
    headers = {name.decode("ascii"): value.decode("latin-1") for name, value in head.headers}
    return Request(head.method.decode("ascii"), target, query, headers, body)
