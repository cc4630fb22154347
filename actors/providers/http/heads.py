"""Writes request heads and parses response heads of HTTP/1.1.

Nearly all heads are plain and match one regular expression here. h11, which takes five times as
long, handles the others. A plain head means the same to h11. Response bodies are read by
`actors.providers.http.body`.
"""

import re

import h11
import httpx
from msgspec import Struct

from actors.providers.http.connection import Disconnected, Wire

MAX_HEAD = 65536
"""Maximum number of bytes of a response's status line and headers together."""

Field = tuple[bytes, bytes]

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PLAIN_REQUEST = re.compile(
    rb"[A-Z]+ [!-~]+ HTTP/1\.1\r\n(?:" + _TOKEN + rb": (?:[!-~]+(?: [!-~]+)*)?\r\n)+\r\n"
)
_PLAIN_RESPONSE = re.compile(
    rb"HTTP/1\.1 ([2-5][0-9]{2})(?: ([ \t!-~]*))?\r\n((?:" + _TOKEN + rb":[ \t!-~]*\r\n)+)\r\n"
)
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_SENT_BY_H11 = frozenset({b"transfer-encoding", b"upgrade", b"expect"})


class Head(Struct, frozen=True):
    """The head of a final response."""

    status: int
    http_version: bytes
    reason: bytes
    headers: list[Field]
    """Headers with lower-case names; lengths are digits and agree, a coding is `chunked`."""
    rest: bytes
    """Bytes received after the head."""


def request_bytes(request: httpx.Request, content: bytes) -> bytes:
    """Return the whole request. Raises `httpx.LocalProtocolError`."""
    fields = request.headers.raw
    lines = b"".join([b"%b: %b\r\n" % field for field in fields])
    head = b"%b %b HTTP/1.1\r\n%b\r\n" % (request.method.encode(), request.url.raw_path, lines)
    # A line break inside a header value would inject another header or request.
    in_one_line_each = head.count(b"\n") == len(fields) + 2
    if in_one_line_each and _is_framed(fields, len(content)) and _PLAIN_REQUEST.fullmatch(head):
        return head + content
    return _unusual_request(request, content)


def _is_framed(fields: list[Field], length: int) -> bool:
    """Return whether there is one `Host` and `Content-Length` equals the content's length."""
    names = [name.lower() for name, _ in fields]
    if names.count(b"host") != 1 or not _SENT_BY_H11.isdisjoint(names):
        return False
    if b"content-length" not in names:
        return not length
    promised = fields[names.index(b"content-length")][1]
    return names.count(b"content-length") == 1 and promised == b"%d" % length


def _unusual_request(request: httpx.Request, content: bytes) -> bytes:
    protocol = h11.Connection(h11.CLIENT)
    try:
        head = h11.Request(
            method=request.method, target=request.url.raw_path, headers=request.headers.raw
        )
        return b"".join(
            (
                protocol.send(head),
                protocol.send(h11.Data(data=content)),
                protocol.send(h11.EndOfMessage()),
            )
        )
    except h11.LocalProtocolError:
        # h11's message quotes the rejected header, which may contain an API key.
        raise httpx.LocalProtocolError("the request is not valid HTTP") from None


async def receive_head(wire: Wire, method: str, data: bytes = b"") -> Head:
    """Receive the head of the final response to a request; skip interim (1xx) responses.

    `data` has been received already.
    """
    data = data or await _first_bytes(wire)
    return _plain_head(data) or await _unusual_head(wire, method, data)


def _plain_head(data: bytes) -> Head | None:
    """Return the head that `data` begins with, or None if it isn't complete and plain."""
    match = _PLAIN_RESPONSE.match(data)
    if match is None or match.end() > MAX_HEAD:
        return None
    headers = [_field(line) for line in match[3][:-2].split(b"\r\n")]
    framing = [field for field in headers if field[0] in _FRAMING]
    if len(framing) > 1 or not all(_is_plain_framing(field) for field in framing):
        return None
    return Head(int(match[1]), b"1.1", match[2] or b"", headers, data[match.end() :])


def _field(line: bytes) -> Field:
    name, _, value = line.partition(b":")
    return name.lower(), value.strip(b" \t")


def _is_plain_framing(field: Field) -> bool:
    name, value = field
    if name == b"transfer-encoding":
        return value == b"chunked"
    return value.isdigit() and len(value) < 19


async def _unusual_head(wire: Wire, method: str, data: bytes) -> Head:
    protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
    protocol.send(h11.Request(method=method, target="/", headers=[("host", "any")]))
    protocol.send(h11.EndOfMessage())
    protocol.receive_data(data)
    while True:
        try:
            event = protocol.next_event()
        except h11.RemoteProtocolError as error:
            raise httpx.RemoteProtocolError(str(error)) from error
        if isinstance(event, h11.Response):
            headers, rest = list(event.headers), protocol.trailing_data[0]
            return Head(event.status_code, event.http_version, event.reason, headers, rest)
        if event is h11.NEED_DATA:
            protocol.receive_data(await wire.receive())
        elif not isinstance(event, h11.InformationalResponse):
            raise httpx.RemoteProtocolError("the server wants to switch protocols")


async def _first_bytes(wire: Wire) -> bytes:
    try:
        data = await wire.receive()
    except httpx.ReadError as error:
        raise Disconnected(f"connection lost before an answer: {error}") from error
    if not data:
        raise Disconnected("connection closed without an answer")
    return data


def keeps_alive(request: httpx.Request, head: Head) -> bool:
    """Return whether the connection persists after the response (RFC 9112 §9.3).

    HTTP/1.0 connections don't, nor those whose response has both a length and a transfer coding
    (a sign of request smuggling, RFC 9112 §6.1).
    """
    names = {name for name, _ in head.headers}
    if head.http_version < b"1.1" or names >= _FRAMING:
        return False
    options = [value for name, value in head.headers if name == b"connection"]
    options.append(request.headers.get("connection", "").encode())
    return b"close" not in {
        option.strip().lower() for value in options for option in value.split(b",")
    }
