"""The access log: a line for each request, unless the line of its turn says it all.

A request that starts a turn, and the probes of whoever runs the server, are lines of `debug`; so
at `info` each request is one line (`docs/reference/logs.md`).
"""

import logging

import structlog
import trio
from hypercorn.typing import WWWScope

from actors.turn import Turn

_PROBES = frozenset({"/health", "/ready", "/metrics"})

_log = structlog.get_logger("trouper.access")


class RequestRecord:
    """What is known of a request when it is over."""

    __slots__ = ("began_at", "left_at", "sent", "status", "turn")

    def __init__(self) -> None:
        self.began_at = trio.current_time()
        self.left_at: float | None = None
        """When the client was seen to leave before its response was whole, on trio's clock."""
        self.status: int | None = None
        """None as long as the response has not begun."""
        self.sent = 0
        """Bytes of the response's body."""
        self.turn: Turn | None = None
        """The turn that the request started."""


def log_request(scope: WWWScope, record: RequestRecord) -> None:
    """Write the line, if its level is written at all."""
    quiet = record.turn is not None or scope["path"] in _PROBES
    level = logging.DEBUG if quiet else logging.INFO
    if not _log.is_enabled_for(level):
        return
    fields = {} if record.turn is None else {"turn": record.turn.id}
    _log.log(
        level,
        "request",
        method=scope.get("method", "GET"),  # a handshake's, which ASGI leaves out
        path=scope["path"],
        status=record.status,
        bytes=record.sent,
        ms=round((trio.current_time() - record.began_at) * 1000, 1),
        left=record.left_at is not None,
        **fields,
    )
