"""What happened to connections, as numbers for metrics."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Totals since the start, except `open`, which is now."""

    open: int = 0
    accepted: int = 0
    refused: int = 0
    """Answered 503 because `max_connections` were open."""
    crashed: int = 0
    """Ended by an exception of the protocol that nobody expected."""
    app_errors: int = 0
    """Requests whose handler, body or clean-up raised past the app."""
    write_stalls: int = 0
    vanished: int = 0
    """Cut because the client's machine answered no more."""
    slow_heads: int = 0
    overflows: int = 0
    """Cut off for sending more than `pipelined_bytes` ahead."""
