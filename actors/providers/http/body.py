"""Reads HTTP/1.1 response bodies, sans IO: one read in, its payload out as one piece.

Implements RFC 9112 §6 and §7. h11's reader isn't used because it emits one event per chunk, and a
chunk is mostly one token.
"""

import re
from collections.abc import Iterable

import httpx

_MAX_LINE = 4096
"""Maximum number of bytes of a chunk's size line, extensions included."""
_MAX_TRAILERS = 16384

_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]{0,9}(?:;[^\r\n\0]{0,4000})?\r\n")
_FIELD_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\r\n\0]*")


class Body:
    """Base class of readers of one response body; its own body ends with its connection."""

    __slots__ = ("broken", "clean", "complete")

    def __init__(self, *, clean: bool = False) -> None:
        self.complete = False
        """True once all of the body has been fed."""
        self.clean = clean
        """True if nothing was fed beyond the body's end, so that the connection can be reused."""
        self.broken: httpx.RemoteProtocolError | None = None
        """Framing error that follows the payload returned by the last `feed`: stop reading."""

    def feed(self, data: bytes) -> bytes:
        """Take the bytes of one read and return their payload.

        Raises `httpx.RemoteProtocolError`.
        """
        return data

    def end(self) -> None:
        """Take the end of the connection.

        Raises `httpx.RemoteProtocolError` if it cuts the body off.
        """
        self.complete = True


class LengthBody(Body):
    """A body with a known number of bytes."""

    __slots__ = ("_left",)

    def __init__(self, length: int) -> None:
        super().__init__(clean=True)
        self._left = length
        self.complete = length == 0

    def feed(self, data: bytes) -> bytes:
        if len(data) > self._left:
            self.clean = False
            data = data[: self._left]
        self._left -= len(data)
        self.complete = self._left == 0
        return data

    def end(self) -> None:
        if not self.complete:
            raise httpx.RemoteProtocolError(f"connection closed {self._left} bytes too early")


class ChunkedBody(Body):
    """A chunked body. Extensions and trailers are validated and dropped."""

    __slots__ = ("_buffered", "_in_chunk", "_in_trailers", "_left")

    def __init__(self) -> None:
        super().__init__(clean=True)
        self._left = 0
        """Bytes missing from the current chunk, without its CRLF."""
        self._in_chunk = False
        self._in_trailers = False
        self._buffered = b""
        """Start of a line that isn't complete yet."""

    def feed(self, data: bytes) -> bytes:
        if not (self._buffered or self._in_chunk or self._in_trailers):
            # Fast path: most reads bring exactly one complete chunk.
            line = _CHUNK_LINE.match(data)
            if line is not None:
                start, end = line.end(), len(data) - 2
                if end - start == int(line[1], 16) > 0 and data.endswith(b"\r\n"):
                    return data[start:end]
        return self._feed(data)

    def _feed(self, data: bytes) -> bytes:
        parts: list[bytes] = []
        try:
            self._take(data, parts)
        except httpx.RemoteProtocolError as error:
            if not parts:
                raise
            # Return the payload that arrived before the framing broke; raise at the next read.
            self.broken = error
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _take(self, data: bytes, parts: list[bytes]) -> None:
        if self._buffered:
            data, self._buffered = self._buffered + data, b""
        at, size = 0, len(data)
        while at < size and not self.complete:
            if self._left:
                parts.append(data[at : at + self._left])
                at += len(parts[-1])
                self._left -= len(parts[-1])
            elif not (self._in_chunk or self._in_trailers):
                at = self._whole_chunks(data, at, parts)
            if at < size and not self._left:
                after = self._line(data, at)
                if after < 0:
                    self._buffered = data[at:]
                    break
                at = after
        self.clean = self.clean and (at == size or bool(self._buffered))

    @staticmethod
    def _whole_chunks(data: bytes, at: int, parts: list[bytes]) -> int:
        """Take the run of complete chunks at `at`, which nearly all are; return its end."""
        while (line := _CHUNK_LINE.match(data, at)) is not None:
            start = line.end()
            end = start + int(line[1], 16)
            if start == end or not data.startswith(b"\r\n", end):
                break
            parts.append(data[start:end])
            at = end + 2
        return at

    def _line(self, data: bytes, at: int) -> int:
        """Take the framing at `at` and return its end, or -1 if more bytes are needed."""
        if self._in_chunk:
            return self._chunk_end(data, at)
        if self._in_trailers:
            return self._trailers(data, at)
        return self._chunk_line(data, at)

    def _chunk_end(self, data: bytes, at: int) -> int:
        if data.startswith(b"\r\n", at):
            self._in_chunk = False
            return at + 2
        if data[at:] == b"\r":
            return -1
        raise httpx.RemoteProtocolError("malformed chunk: no line end after it")

    def _chunk_line(self, data: bytes, at: int) -> int:
        match = _CHUNK_LINE.match(data, at)
        if match is None:
            if data.find(b"\n", at) >= 0 or len(data) - at > _MAX_LINE:
                raise httpx.RemoteProtocolError("malformed chunk size")
            return -1
        self._left = int(match[1], 16)
        self._in_chunk = self._left > 0
        self._in_trailers = self._left == 0
        return match.end()

    def _trailers(self, data: bytes, at: int) -> int:
        if data.startswith(b"\r\n", at):
            self.complete = True
            return at + 2
        end = data.find(b"\r\n\r\n", at)
        if (end if end >= 0 else len(data)) - at > _MAX_TRAILERS:
            raise httpx.RemoteProtocolError("trailers too large")
        if end < 0:
            return -1
        if not all(_FIELD_LINE.fullmatch(line) for line in data[at:end].split(b"\r\n")):
            raise httpx.RemoteProtocolError("malformed trailers")
        self.complete = True
        return end + 4

    def end(self) -> None:
        if not self.complete:
            raise httpx.RemoteProtocolError("connection closed in the middle of a chunked body")


def body_for(method: str, status: int, headers: Iterable[tuple[bytes, bytes]]) -> Body:
    """Return the reader for a response's body (RFC 9112 §6.3).

    `headers` have lower-case names and have passed h11's checks: a transfer coding is `chunked`,
    lengths are digits and agree.
    """
    if method == "HEAD" or status in (204, 304):
        return LengthBody(0)
    fields = dict(headers)
    if b"transfer-encoding" in fields:
        return ChunkedBody()
    length = fields.get(b"content-length")
    if length is None:
        return Body()
    if len(length) > 18:
        raise httpx.RemoteProtocolError("content length too large")
    return LengthBody(int(length))
