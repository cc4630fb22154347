"""Refuses requests that h11 and h2 accept, but the RFCs do not, or that hypercorn cannot handle.

`StrictBuffer` checks bytes before h11 parses them; `request_event` and `check_handshake` check
parsed requests of either protocol. They are pure, and raise before any other part sees a request.
Proxies differ in how they read such requests, which attackers use to smuggle one request in
another (RFC 9112 §11.2), so none of them is repaired.
"""

import re

import msgspec
from h11 import LocalProtocolError
from h11._receivebuffer import ReceiveBuffer
from hypercorn.protocol.events import Request

from web.server.request_id import state_with_id

Headers = list[tuple[bytes, bytes]]

METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
"""Known methods, in the case in which they must be sent (RFC 9110 §9.1)."""

MAX_FIELDS = 200
"""Maximum number of header fields. 32 KiB have room for 8,000, which take 25 ms in the libraries.

Apache and Envoy allow 100, but browsers split cookies into fields of their own over HTTP/2.
"""
_TOO_MANY = f"The request has more than {MAX_FIELDS} header fields."

_TEXT = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
"""Bytes of a field value (RFC 9110 §5.5)."""
_EMPTY_LINES = re.compile(rb"(?:\r\n)+")
_CHUNK_LINE = re.compile(rb"[0-9A-Fa-f]{1,16}(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?\r\n")
"""The line before a chunk (RFC 9112 §7.1); extensions may have any text."""
_TARGET = re.compile(rb"[!-~]+")
_ABSOLUTE = re.compile(rb"https?://([^/?#@]+)([/?].*)?", re.IGNORECASE)
_HOST = re.compile(rb"(?:\[[0-9A-Za-z:.%_~\-]+\]|[0-9A-Za-z\-._~!$&'()*+,;=%]*)(?::[0-9]*)?")
"""Host and port (RFC 3986 §3.2.2); empty for a target without a host."""
_KEY = re.compile(rb"[0-9A-Za-z+/]{22}==")


class RequestRefused(Exception):
    """A request that is answered with an error without being passed to the app."""

    def __init__(self, status: int, message: str, headers: Headers | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or []


def error_body(message: str) -> bytes:
    """Return the JSON body of an error response that the app does not make."""
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return msgspec.json.encode({"error": error})


class StrictBuffer(ReceiveBuffer):
    """h11's buffer of received bytes, which accepts only CRLF as the end of a line.

    Heads, trailers and chunk sizes with a bare CR or LF, another control character or a folded
    line raise `LocalProtocolError`, which h11 turns into its `RemoteProtocolError`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fault = ""
        """Message for the client, set when an error is raised."""
        self._in_body = False

    def maybe_extract_lines(self) -> list[bytearray] | None:
        """Remove and return the lines up to the next empty line; None if it has not arrived."""
        data = self._data
        if empty := _EMPTY_LINES.match(data):
            if self._in_body:  # there are no trailers
                self._in_body = False
                self._extract(2)
                return []
            self._extract(empty.end())  # ignored before a request: RFC 9112 §2.2
        checked = self._multiple_lines_search
        end = data.find(b"\r\n\r\n", max(0, checked - 3))
        if end < 0:
            # Reported at once, because a client that sends only LF waits for the response.
            if data.count(b"\n", checked) != data.count(b"\r\n", max(0, checked - 1)):
                raise self._error("A line ends with LF. End lines with CRLF.")
            self._multiple_lines_search = len(data)
            return None
        section = self._extract(end + 4)
        self._in_body = False
        self._check(section)
        return section[:-4].split(b"\r\n")

    def maybe_extract_next_line(self) -> bytearray | None:
        """Remove and return the next chunk's line; None if it has not arrived."""
        line = super().maybe_extract_next_line()
        if line is not None:
            self._in_body = True
            if not _CHUNK_LINE.fullmatch(line):
                raise self._error("The size or an extension of a chunk is malformed.")
        return line

    def _check(self, section: bytearray) -> None:
        """Check a head or trailers (RFC 9112 §2.2, §5.2; RFC 9110 §5.5).

        Without other control characters and with as many CRLF as CR and LF each, all CR and LF
        are parts of a CRLF. A regular expression would take ten times as long.
        """
        lines = section.count(b"\r\n")
        if lines > MAX_FIELDS + 2:
            raise self._error(_TOO_MANY, 431)
        if section.translate(None, _TEXT) != b"\r\n" * lines:
            raise self._error("The headers contain a control character, or CR or LF alone.")
        if b"\r\n " in section or b"\r\n\t" in section:
            raise self._error("A header line begins with white space. Do not fold headers.")

    def _error(self, message: str, status: int = 400) -> LocalProtocolError:
        self.fault = message
        return LocalProtocolError(message, error_status_hint=status)


def request_event(
    stream_id: int, version: str, method: bytes, target: bytes, headers: Headers
) -> Request:
    """Return a request as hypercorn's event, with a path as its target.

    `headers` have lower-case names. Raises `RequestRefused`.
    """
    if method not in METHODS:
        shown = method[:20].decode("ascii", "backslashreplace")
        known = ", ".join(sorted(name.decode() for name in METHODS))
        raise RequestRefused(501, f"The method {shown!r} is not implemented. Known: {known}.")
    if not target.startswith(b"/"):
        target, headers = _without_authority(method, target, headers)
    if not _TARGET.fullmatch(target):
        raise RequestRefused(400, "The request's target is not ASCII. Percent-encode it.")
    if not all(_HOST.fullmatch(value) for name, value in headers if name == b"host"):
        raise RequestRefused(400, "Host must be a name or an address, with an optional port.")
    return Request(
        stream_id, headers, version, method.decode("ascii"), target, state_with_id(headers)
    )


def _without_authority(method: bytes, target: bytes, headers: Headers) -> tuple[bytes, Headers]:
    """Return the path of a URL and the headers with its host (RFC 9112 §3.2.2)."""
    if (method, target) == (b"OPTIONS", b"*"):  # about the server: RFC 9112 §3.2.4
        return target, headers
    url = _ABSOLUTE.fullmatch(target)
    if url is None:
        raise RequestRefused(400, "The request's target must begin with '/', or be an http URL.")
    host, path = url[1], url[2] or b"/"
    rest = [header for header in headers if header[0] != b"host"]
    return path if path.startswith(b"/") else b"/" + path, [(b"host", host), *rest]


def check_framing(version: bytes, headers: Headers) -> None:
    """Check that a body has one length (RFC 9112 §6.1). Raises `RequestRefused`."""
    names = {name for name, _ in headers}
    if b"transfer-encoding" not in names:
        return
    if b"content-length" in names:
        raise RequestRefused(400, "Send either Transfer-Encoding or Content-Length, not both.")
    if version == b"1.0":
        raise RequestRefused(400, "HTTP/1.0 has no Transfer-Encoding. Send Content-Length.")


def check_fields(headers: Headers) -> None:
    """Check the number of fields, and for control characters that h2 accepts (RFC 9110 §5.5).

    Raises `RequestRefused`.
    """
    if len(headers) > MAX_FIELDS:
        raise RequestRefused(431, _TOO_MANY)
    if b"".join([value for _, value in headers]).translate(None, _TEXT):
        raise RequestRefused(400, "A header contains a control character.")


def check_handshake(headers: Headers) -> None:
    """Check the opening of a WebSocket (RFC 6455 §4.2.1). Raises `RequestRefused`."""
    fields = [field for field in headers if field[0].startswith((b"sec-websocket-", b"connection"))]
    if not all(value.isascii() for _, value in fields):
        raise RequestRefused(400, "Connection and Sec-WebSocket-Protocol must be ASCII.")
    if [value for name, value in fields if name == b"sec-websocket-version"] != [b"13"]:
        wanted = [(b"sec-websocket-version", b"13")]
        raise RequestRefused(400, "Sec-WebSocket-Version: must be 13.", wanted)
    keys = [value for name, value in fields if name == b"sec-websocket-key"]
    if len(keys) != 1 or not _KEY.fullmatch(keys[0]):
        raise RequestRefused(400, "Sec-WebSocket-Key: must be the base64 of 16 bytes.")
