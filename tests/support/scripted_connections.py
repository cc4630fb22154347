"""Scripted connections, to test the transport and providers without I/O."""

import itertools
import ssl
from collections.abc import Iterable

import httpx
import trio

from actors.providers.http.connection import Wire
from actors.providers.http.credentials import Credentials
from actors.providers.http.provider import UpstreamClient
from actors.providers.http.transport import TrioTransport
from actors.routing.key_ring import KeyRing

Line = bytes | float | httpx.NetworkError
"""Next event of a connection: bytes (`b""` is the end), a pause in seconds, or an error.

`receive_nowait` doesn't see bytes that follow a pause.
"""

SILENCE = 1e6
"""A pause in seconds that is longer than any test."""


def credentials_of(*keys: str) -> Credentials:
    """Return credentials with a key ring of their own, even without keys."""
    return Credentials(keys, KeyRing(keys))


class MemoryWire:
    """A connection that receives one line of its script per read; reading beyond it fails."""

    def __init__(self, *script: Line) -> None:
        self.script = list(script)
        self.sent = b""
        self.opened = False
        self.closed = False
        self.broken = False

    async def receive(self) -> bytes:
        pause = 0.0
        while self.script and isinstance(line := self.script[0], float):
            pause += line
            del self.script[0]
        await trio.sleep(pause)
        assert self.script, "read beyond the script"
        return self._next()

    def receive_nowait(self) -> bytes | None:
        if not self.script or isinstance(self.script[0], float):
            return None
        return self._next()

    def _next(self) -> bytes:
        if self.closed:
            raise httpx.ReadError("closed")
        line = self.script.pop(0)
        if isinstance(line, httpx.NetworkError):
            raise line
        assert isinstance(line, bytes)
        return line

    async def send(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        if self.closed or self.broken:
            raise httpx.WriteError("broken pipe")
        self.sent += data

    def close(self) -> None:
        self.closed = True


class Peer:
    """A server that gives out its wires, one per connection, and refuses further connections."""

    def __init__(self, *wires: MemoryWire, connect_s: float = 0.0) -> None:
        self.wires = list(wires)
        self.connects: list[tuple[str, int, bool]] = []
        self._left = list(wires)
        self._connect_s = connect_s

    async def connect(self, host: str, port: int, tls: ssl.SSLContext | None) -> Wire:
        self.connects.append((host, port, tls is not None))
        await trio.sleep(self._connect_s)
        if not self._left:
            raise httpx.ConnectError("connection refused")
        wire = self._left.pop(0)
        wire.opened = True
        return wire

    def transport(self, *, max_idle: int = 10, idle_s: float = 30.0) -> TrioTransport:
        return TrioTransport(connect=self.connect, max_idle=max_idle, idle_s=idle_s)

    def client(self) -> UpstreamClient:
        return UpstreamClient(self.transport())


def chunked(*payloads: bytes) -> bytes:
    """Return the payloads as HTTP chunks, without the last chunk."""
    return b"".join(b"%x\r\n%s\r\n" % (len(payload), payload) for payload in payloads)


LAST = b"0\r\n\r\n"


def head(status: int = 200, *fields: str, version: str = "1.1") -> bytes:
    """Return a response head."""
    return "\r\n".join((f"HTTP/{version} {status} Some", *fields, "", "")).encode()


class CancelAtStep(trio.abc.Instrument):
    """Instrument that cancels a scope after the `step`th step of a task."""

    def __init__(self, task: trio.lowlevel.Task, scope: trio.CancelScope, step: int) -> None:
        self._task = task
        self._scope = scope
        self._left = step

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self._left -= 1
            if self._left == 0:
                self._scope.cancel()


def splits(data: bytes) -> Iterable[list[bytes]]:
    """Yield `data` as a whole, byte by byte, and cut in two at every position."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    for at in range(1, len(data)):
        yield [data[:at], data[at:]]


def pieces_of(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """Return `data` cut at these positions, taken modulo its length."""
    marks = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(marks)]
