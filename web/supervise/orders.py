"""Messages between supervisor and server process: single bytes on a private socket pair."""

from enum import Enum

READY = b"R"
"""Message of a child: it serves."""


class Order(Enum):
    """A message of the parent."""

    LEAVE = b"L"
    """Hand over to new processes: stop accepting, answer open requests, drain."""
    DRAIN = b"D"
    """Stop the service: refuse new turns, drain."""
    HURRY = b"H"
    """Stop waiting: cancel and record live turns, then exit."""
