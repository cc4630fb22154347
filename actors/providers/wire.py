"""A connection as the transport sees it: bytes in, bytes out, closed at once.

Waiting for readability comes before reading, so that a token costs one `recv` and no exception,
and nothing here opens a cancel scope: deadlines belong to the caller.
"""

import os
import socket
import ssl
from contextlib import suppress
from typing import Protocol

import httpx
import trio

READ_SIZE = 65536
"""Bytes asked of the kernel at once; a read that brings as many is followed by another."""

_RECORD = 16384
"""Bytes of the largest TLS record (RFC 8446 §5.1), of which a read gives one."""
_ENCRYPTED_AT_ONCE = 262144
"""Bytes of a request, so that no other task waits for the rest."""


class Disconnected(httpx.RemoteProtocolError):
    """The peer closed or reset the connection before it answered anything."""


class Wire(Protocol):
    """An open connection, which one task reads and one task writes at a time."""

    async def receive(self) -> bytes:
        """Wait for what comes next; `b""` is the end. Raises `httpx.ReadError`."""

    def receive_nowait(self) -> bytes | None:
        """What has come already; None where nothing has. Raises `httpx.ReadError`."""

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
            except BlockingIOError:  # woken for nothing, which the kernel may do
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
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()


class TlsWire:
    """TLS over another wire. Closing it skips the TLS goodbye, which nobody would wait for.

    Not `trio.SSLStream`, which gives one TLS record per read, with a scheduler pass each, and
    cannot tell without waiting what has come on an idle connection.
    """

    def __init__(self, raw: Wire, context: ssl.SSLContext, host: str) -> None:
        self._raw = raw
        self._arrived = ssl.MemoryBIO()
        self._leaving = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._arrived, self._leaving, server_hostname=host)
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
            if self._leaving.pending and not self._ended:
                with suppress(httpx.WriteError):  # reading will tell, after what has come
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
            self._arrived.write(data)
        else:
            self._arrived.write_eof()

    def _decrypt(self) -> bytes:
        """The text of all records that are whole, as one."""
        parts: list[bytes] = []
        try:
            while self._arrived.pending or not parts:
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
        """Send what is encrypted; a reader that has to answer leaves it to a writer at work."""
        if self._flushing:
            return
        self._flushing = True
        try:
            while data := self._leaving.read():
                await self._raw.send(data)
        finally:
            self._flushing = False

    def close(self) -> None:
        self._raw.close()


async def open_wire(host: str, port: int, context: ssl.SSLContext | None) -> Wire:
    """Connect to the first address that answers (RFC 8305), with TLS where a context is given.

    Raises `httpx.ConnectError`; nothing stays open where it raises or is cancelled.
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
    """The kernel's socket without trio's wrapper, whose every `recv` tries before it waits."""
    sock.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
    family, kind, proto = sock.family, sock.type, sock.proto
    plain = socket.socket(family, kind, proto, fileno=sock.detach())
    plain.setblocking(False)
    return plain


def _reason(error: BaseException) -> str:
    """What happened, without the address that trio and the resolver put into it."""
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
