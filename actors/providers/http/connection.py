"""Connections on plain sockets, with or without TLS, that close without waiting.

Reads wait for readability before `recv`, so that a token costs one system call and no exception.
Nothing here opens a cancel scope: the caller sets deadlines.
"""

import os
import socket
import ssl
from contextlib import suppress
from typing import Protocol

import httpx
import trio

READ_SIZE = 65536
"""Maximum number of bytes per `recv`."""

_RECORD = 16384
"""Bytes of the largest TLS record (RFC 8446 §5.1); one read returns one record."""
_ENCRYPTED_AT_ONCE = 262144
"""Bytes encrypted before other tasks may run."""


class Disconnected(httpx.RemoteProtocolError):
    """Raised if the peer closes or resets the connection before any byte of the response."""


class SocketClosed(httpx.ReadError):
    """Raised when a WebSocket brings no more messages; clients may see the text, the reason."""


class Wire(Protocol):
    """An open connection; at most one task reads and one task writes at a time."""

    async def receive(self) -> bytes:
        """Wait for data and return it, `b""` at the end. Raises `httpx.ReadError`."""

    def receive_nowait(self) -> bytes | None:
        """Return data that has arrived, or None if there is none. Raises `httpx.ReadError`."""

    async def send(self, data: bytes) -> None:
        """Hand all of `data` to the kernel. Raises `httpx.WriteError`."""

    def close(self) -> None:
        """Close the socket before returning; closing twice is harmless."""


class TcpWire:
    """A plain TCP connection on a non-blocking socket."""

    __slots__ = "_sock"

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    async def receive(self) -> bytes:
        sock = self._sock
        while True:
            try:
                await trio.lowlevel.wait_readable(sock)
                return sock.recv(READ_SIZE)
            except BlockingIOError:  # spurious wake-up, which the kernel permits
                continue
            except (OSError, trio.ClosedResourceError) as error:
                raise httpx.ReadError(_reason(error)) from error

    def receive_nowait(self) -> bytes | None:
        try:
            return self._sock.recv(READ_SIZE)
        except BlockingIOError:
            return None
        except OSError as error:
            raise httpx.ReadError(_reason(error)) from error

    async def send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._sock.send(rest) :]
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._sock)
            except (OSError, trio.ClosedResourceError) as error:
                raise httpx.WriteError(_reason(error)) from error

    def close(self) -> None:
        if self._sock.fileno() >= 0:
            # Wakes tasks waiting on the socket with ClosedResourceError before the fd is reused.
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()


class TlsWire:
    """TLS over another wire. Closing doesn't send `close_notify`, which would have to be awaited.

    `trio.SSLStream` isn't used: it returns one TLS record per read, with a scheduler pass each, and
    cannot return without waiting what has arrived on an idle connection.
    """

    def __init__(self, raw: Wire, context: ssl.SSLContext, host: str) -> None:
        self._raw = raw
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        # Over ALPN, a server could choose HTTP/2, which nothing here speaks.
        context.set_alpn_protocols(["http/1.1"])
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._ended = False
        self._flushing = False

    async def handshake(self) -> None:
        """Agree on keys and verify the peer's certificate. Raises `httpx.ConnectError`."""
        try:
            while not self._step():
                await self._flush()
                self._take(await self._raw.receive())
            await self._flush()
        except (ssl.SSLError, httpx.NetworkError) as error:
            raise httpx.ConnectError(f"TLS: {_reason(error)}") from error

    def _step(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    async def receive(self) -> bytes:
        while not self._ended:
            self._take(await self._raw.receive())
            plain = self._decrypt()
            if self._outgoing.pending and not self._ended:
                # Return the received data first; the next read raises if the connection broke.
                with suppress(httpx.WriteError):
                    await self._flush()
            if plain:
                return plain
        return b""

    def receive_nowait(self) -> bytes | None:
        while not self._ended:
            data = self._raw.receive_nowait()
            if data is None:
                return None
            self._take(data)
            if plain := self._decrypt():
                return plain
        return b""

    def _take(self, data: bytes) -> None:
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _decrypt(self) -> bytes:
        """Return the plain text of all complete records."""
        parts: list[bytes] = []
        try:
            while self._incoming.pending or not parts:
                part = self._tls.read(_RECORD)
                if not part:
                    self._ended = True
                    break
                parts.append(part)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLEOFError:
            self._ended = True
        except ssl.SSLError as error:
            self._ended = True
            if not parts:
                raise httpx.ReadError(f"TLS: {_reason(error)}") from error
        return b"".join(parts)

    async def send(self, data: bytes) -> None:
        for at in range(0, len(data), _ENCRYPTED_AT_ONCE):
            if at:
                await trio.lowlevel.checkpoint()
            try:
                self._tls.write(data[at : at + _ENCRYPTED_AT_ONCE])
            except ssl.SSLError as error:
                raise httpx.WriteError(f"TLS: {_reason(error)}") from error
            await self._flush()

    async def _flush(self) -> None:
        """Send pending ciphertext, unless another task is doing so already.

        A reader may have to send too (key updates), but two tasks must not write to one socket.
        """
        if self._flushing:
            return
        self._flushing = True
        try:
            while data := self._outgoing.read():
                await self._raw.send(data)
        finally:
            self._flushing = False

    def close(self) -> None:
        self._raw.close()


async def open_wire(host: str, port: int, context: ssl.SSLContext | None) -> Wire:
    """Connect to the first address that answers (RFC 8305), with TLS if a context is given.

    Raises `httpx.ConnectError`. Nothing stays open if it raises or is cancelled.
    """
    try:
        stream = await trio.open_tcp_stream(host, port)
    except OSError as error:
        raise httpx.ConnectError(_reason(error)) from error
    raw = TcpWire(_plain_socket(stream.socket))
    if context is None:
        return raw
    try:
        wire = TlsWire(raw, context, host)
        await wire.handshake()
    except BaseException:
        raw.close()
        raise
    return wire


def _plain_socket(sock: trio.socket.SocketType) -> socket.socket:
    """Return the plain socket of a trio socket, set to non-blocking and TCP_NODELAY.

    Every `recv` of a trio socket tries to read before it waits, which costs an exception.
    """
    sock.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
    family, kind, proto = sock.family, sock.type, sock.proto
    plain = socket.socket(family, kind, proto, fileno=sock.detach())
    plain.setblocking(False)
    return plain


def _reason(error: BaseException) -> str:
    """Describe an error without the address that trio and the resolver add to its text."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "protocol error").lower().replace("_", " ")
    if isinstance(error, socket.gaierror):
        return "the host's name cannot be resolved"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    cause = error.__cause__
    if isinstance(cause, ExceptionGroup):
        return ", ".join(sorted({_reason(one) for one in cause.exceptions}))
    return str(error) or type(error).__name__
