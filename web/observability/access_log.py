"""Access log: writes one line for each request.

Requests that start a turn are logged at `debug`, because the turn has its own line, and so are
probes. At `info` each request therefore has exactly one line (`docs/reference/logs.md`).
"""

import logging
from contextlib import AsyncExitStack

import structlog
import trio
from hypercorn.typing import WWWScope

from actors.turn.state import Turn

_PROBES = frozenset({"/health", "/ready", "/metrics"})

_log = structlog.get_logger("trouper.access")


class RequestContext:
    """Facts about a request, collected while it is served, and the stack of its resources."""

    __slots__ = ("began_at", "left_at", "sent", "stack", "status", "turn")

    def __init__(self) -> None:
        self.began_at = trio.current_time()
        self.left_at: float | None = None
        """Time, on trio's clock, when the client left before its response was complete."""
        self.status: int | None = None
        """Status of the response; None until the response begins."""
        self.sent = 0
        """Bytes sent of the response's body."""
        self.turn: Turn | None = None
        """Turn that the request started, if any."""
        self.stack = AsyncExitStack()
        """Stack that is closed once, at the end of the request."""


def log_request(scope: WWWScope, record: RequestContext) -> None:
    """Write the request's line, unless its level is filtered out."""
    quiet = record.turn is not None or scope["path"] in _PROBES
    level = logging.DEBUG if quiet else logging.INFO
    if not _log.is_enabled_for(level):
        return
    fields = {} if record.turn is None else {"turn": record.turn.id}
    _log.log(
        level,
        "request ended",
        method=scope.get("method", "GET"),  # ASGI leaves out the method of a WebSocket handshake
        path=scope["path"],
        status=record.status,
        bytes=record.sent,
        ms=round((trio.current_time() - record.began_at) * 1000, 1),
        left=record.left_at is not None,
        **fields,
    )
