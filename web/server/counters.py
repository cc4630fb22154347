"""Counters of connections, exported as metrics."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Totals since the start, except `open`, the current number of connections.

    The metrics have the same names.
    """

    open: int = 0
    connections: int = 0
    connections_refused: int = 0
    """Connections answered with 503 because `max_connections` were open."""
    connections_crashed: int = 0
    """Connections ended by an unexpected exception of the protocol."""
    malformed_inputs: int = 0
    """Connections closed because a protocol library raised an exception on received data."""
    requests_crashed: int = 0
    """Requests with an exception that the app did not handle."""
    write_stalls: int = 0
    """Connections closed because a write made no progress for `write_stall_s`."""
    vanished_peers: int = 0
    """Connections closed because the client's machine stopped responding."""
    slow_heads: int = 0
    """Connections closed because a request's head took longer than `header_s`."""
    pipelining_overflows: int = 0
    """Connections closed for sending more than `pipelined_bytes` behind an open request."""
    frame_limits_exceeded: int = 0
    """Connections closed for too large or too many frames (HTTP/2, WebSocket)."""
    receptions_refused: int = 0
    """Bodies and messages refused because `receive_bytes` were being received."""
