"""hypercorn's protocol classes, told what we decided, without its logging and process state."""

import math
from time import time
from wsgiref.handlers import format_date_time

import trio
from hypercorn.config import Config
from hypercorn.logging import Logger
from hypercorn.trio.worker_context import EventWrapper, WorkerContext
from hypercorn.typing import Event, ResponseSummary, WWWScope

from web.server.settings import ServerSettings

SAFETY = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
]
"""What every response tells browsers."""
LEAVING = "trouper.leaving"
"""The ASGI extension of a WebSocket with the event that the server is about to stop.

HTTP tells its clients with each response; a WebSocket has to be ended by whoever serves it.
"""


class SilentLogger(Logger):
    """Says nothing: we log ourselves, and hypercorn's loggers are the process's."""

    def __init__(self, config: Config) -> None:  # not super's: it installs handlers
        self.access_logger = None
        self.error_logger = None

    async def access(
        self, request: WWWScope, response: ResponseSummary, request_time: float
    ) -> None:
        """Cost nothing per request."""


class ProtocolConfig(Config):
    """A `Config` for the protocol classes alone; nothing of it opens sockets or logs."""

    logger_class = SilentLogger
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
        """What every response has: the date, formatted once a second, and `SAFETY`."""
        now = int(time())
        if now != self._date_at:
            self._date_at = now
            self._headers = [(b"date", format_date_time(now).encode("ascii")), *SAFETY]
            self._fields = b"".join([b"%b: %b\r\n" % header for header in self._headers])
        return self._headers

    def response_fields(self) -> bytes:
        """The same as HTTP/1.1 writes them."""
        self.response_headers("h11")
        return self._fields


class Context(WorkerContext):
    """What all connections of a server know of its state."""

    def __init__(self) -> None:
        super().__init__(max_requests=None)
        self._closed = SettableEvent()
        self.terminated: Event = self._closed
        """hypercorn's word for: nothing that comes now is answered."""
        self.closing = False
        """Whether each response is its connection's last, and says so."""
        self.leaving = trio.Event()
        """The same, for those who wait for it."""
        self.idle_s = math.inf
        """How long a connection may still stand idle, once that is so."""

    def begin_leaving(self, idle_s: float) -> None:
        """Answer what still comes, each time with a goodbye."""
        self.closing = True
        self.leaving.set()
        self.idle_s = idle_s

    def begin_close(self) -> None:
        """From now on each response is its connection's last, and idle ones close at once."""
        self.closing = True
        self.leaving.set()
        self._closed.set_now()


class SettableEvent(EventWrapper):
    """hypercorn's event, for those who cannot wait."""

    def set_now(self) -> None:
        """Set it."""
        self._event.set()
