"""Settings of the server, and their form for hypercorn's protocol classes.

hypercorn's logging and process state are left out.
"""

import math
import ssl
from time import time
from wsgiref.handlers import format_date_time

import trio
from hypercorn.config import Config
from hypercorn.trio.worker_context import EventWrapper, WorkerContext
from hypercorn.typing import ASGIFramework, Event
from msgspec import Struct

from web.server.counters import Counters
from web.server.receive_budget import ReceiveBudget

SAFETY = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
]
"""Security headers of every response, for browsers."""
LEAVING = "trouper.leaving"
"""Name of a WebSocket's ASGI extension with an event that is set when the server is about to stop.

HTTP connections are closed after their next response, but a WebSocket must be ended by its handler.
"""


class ServerSettings(Struct, frozen=True, kw_only=True):
    """Settings of listeners and connections; times in seconds, sizes in bytes."""

    http2: bool = False
    """Serve HTTP/2, by ALPN with TLS and by prior knowledge without; else it is answered 505."""
    ssl_context: ssl.SSLContext | None = None
    """TLS context for every listener; None serves plain HTTP."""
    tls_handshake_s: float = 10.0
    keep_alive_s: float = 75.0
    """Maximum idle time of a connection, before the first request and between requests."""
    header_s: float = 10.0
    """Maximum time from the first byte of a request to the end of its head."""
    header_bytes: int = 32 * 1024
    """Maximum size of a request's head."""
    pipelined_bytes: int = 64 * 1024
    """Maximum amount of data that a client may send behind an unanswered request."""
    write_stall_s: float = 30.0
    """Time without progress of a write after which the connection is closed."""
    linger_s: float = 2.0
    """Time for which data is still read, and dropped, after the last response."""
    max_connections: int = 10_000
    """Maximum number of connections; further ones get 503 with `Retry-After`."""
    backlog: int = 4096
    """Length of the kernel's queue of connections that wait to be accepted."""
    websocket_message_bytes: int = 1024 * 1024
    """Maximum size of a WebSocket message."""
    websocket_ping_s: float = 30.0
    """Interval of WebSocket pings."""
    body_s: float = 30.0
    """Time for a WebSocket message, plus what `receive_time` adds for the bytes received."""
    receive_bytes: int = 256 * 1024 * 1024
    """Maximum number of bytes that all connections together are receiving."""
    http2_streams: int = 100
    """Maximum number of open requests of an HTTP/2 connection."""


class ProtocolConfig(Config):
    """A `Config` for the protocol classes only; it opens no sockets or log files."""

    errorlog = None  # we log ourselves
    include_server_header = False
    keep_alive_max_requests = 1_000_000

    def __init__(self, settings: ServerSettings) -> None:
        self.h11_max_incomplete_size = settings.header_bytes
        self.h2_max_header_list_size = settings.header_bytes
        self.h2_max_concurrent_streams = settings.http2_streams
        self.websocket_max_message_size = settings.websocket_message_bytes
        self.websocket_ping_interval = settings.websocket_ping_s
        self._date_at = -1
        self._headers: list[tuple[bytes, bytes]] = []
        self._fields = b""

    def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:
        """Return the headers of every response: the date, formatted once a second, and `SAFETY`."""
        now = int(time())
        if now != self._date_at:
            self._date_at = now
            self._headers = [(b"date", format_date_time(now).encode("ascii")), *SAFETY]
            self._fields = b"".join([b"%b: %b\r\n" % header for header in self._headers])
        return self._headers

    def response_fields(self) -> bytes:
        """Return the same headers as HTTP/1.1 lines."""
        self.response_headers("h11")
        return self._fields


class Context(WorkerContext):
    """The app, settings and state of a server, which its connections share."""

    def __init__(self, app: ASGIFramework, settings: ServerSettings) -> None:
        super().__init__(max_requests=None)
        self.app = app
        self.settings = settings
        self.config = ProtocolConfig(settings)
        self.counters = Counters()
        self.receive_budget = ReceiveBudget(
            settings.receive_bytes, trio.current_time, self.counters
        )
        self._closed = SettableEvent()
        self.terminated: Event = self._closed
        """Event, named by hypercorn, after which no new request is answered."""
        self.leaving = trio.Event()
        """Event after which each response is its connection's last and announces it."""
        self.idle_s = math.inf
        """Maximum idle time of a connection in seconds while `leaving`."""

    def begin_leaving(self, idle_s: float) -> None:
        """Answer requests that still arrive, and close each connection after its response."""
        self.leaving.set()
        self.idle_s = idle_s

    def begin_close(self) -> None:
        """Close each connection after its response, and idle ones at once."""
        self.leaving.set()
        self._closed.set_now()


class SettableEvent(EventWrapper):
    """hypercorn's event with a synchronous `set`."""

    def set_now(self) -> None:
        """Set the event without a checkpoint."""
        self._event.set()
