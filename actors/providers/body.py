"""Response bodies, sans IO: what one read brought goes in, its payload comes out as one piece.

RFC 9112 §6 and §7. h11 has a reader of its own, but it gives one event per chunk, and a chunk
is mostly one token.
"""

import re
from collections.abc import Iterable
from typing import Protocol

import httpx

_MAX_LINE = 4096
"""Bytes of a chunk's size and extensions together."""
_MAX_TRAILERS = 16384

_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]{0,9}(?:;[^\r\n\0]{0,4000})?\r\n")
_FIELD_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\r\n\0]*")


class Body(Protocol):
    """The reader of one body."""

    complete: bool
    """All of the body has been fed."""
    clean: bool
    """Nothing was fed beyond its end, so that the connection can carry another response."""
    broken: httpx.RemoteProtocolError | None
    """What is wrong behind the payload that `feed` returned last; nothing more can be read."""

    def feed(self, data: bytes) -> bytes:
        """Take what one read brought, return its payload. Raises `httpx.RemoteProtocolError`."""

    def end(self) -> None:
        """The connection ended. Raises `httpx.RemoteProtocolError` where that cuts the body."""


class LengthBody:
    """A body of a known number of bytes."""

    __slots__ = ("_left", "broken", "clean", "complete")

    def __init__(self, length: int) -> None:
        self.broken: httpx.RemoteProtocolError | None = None
        self._left = length
        self.complete = length == 0
        self.clean = True

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


class UntilCloseBody:
    """A body that ends with its connection."""

    complete = False
    clean = False
    broken: httpx.RemoteProtocolError | None = None

    def feed(self, data: bytes) -> bytes:
        return data

    def end(self) -> None:
        self.complete = True


class ChunkedBody:
    """A chunked body; extensions and trailers are checked and dropped."""

    __slots__ = ("_held", "_in_chunk", "_in_trailers", "_left", "broken", "clean", "complete")

    def __init__(self) -> None:
        self._left = 0
        """Bytes of the current chunk still to come, its CRLF not counted."""
        self._in_chunk = False
        self._in_trailers = False
        self._held = b""
        """The beginning of a line that is not whole yet."""
        self.complete = False
        self.clean = True
        self.broken: httpx.RemoteProtocolError | None = None

    def feed(self, data: bytes) -> bytes:
        if not (self._held or self._in_chunk or self._in_trailers):
            # One read mostly brings one chunk, whole.
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
            # What came whole before the framing broke is the consumer's.
            self.broken = error
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _take(self, data: bytes, parts: list[bytes]) -> None:
        if self._held:
            data, self._held = self._held + data, b""
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
                    self._held = data[at:]
                    break
                at = after
        self.clean = self.clean and (at == size or bool(self._held))

    @staticmethod
    def _whole_chunks(data: bytes, at: int, parts: list[bytes]) -> int:
        """Take the chunks that are here from end to end, which nearly all are."""
        while (line := _CHUNK_LINE.match(data, at)) is not None:
            start = line.end()
            end = start + int(line[1], 16)
            if start == end or not data.startswith(b"\r\n", end):
                break
            parts.append(data[start:end])
            at = end + 2
        return at

    def _line(self, data: bytes, at: int) -> int:
        """Take the framing at `at`, return where it ends; -1 where more is needed for it."""
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
    """The reader that a response's head asks for (RFC 9112 §6.3).

    `headers` have lower-case names and h11's checks behind them: a transfer coding is
    `chunked`, lengths are digits and agree.
    """
    if method == "HEAD" or status in (204, 304):
        return LengthBody(0)
    fields = dict(headers)
    if b"transfer-encoding" in fields:
        return ChunkedBody()
    length = fields.get(b"content-length")
    if length is None:
        return UntilCloseBody()
    if len(length) > 18:
        raise httpx.RemoteProtocolError("content length beyond all bounds")
    return LengthBody(int(length))
