"""What parent and child say to each other: single bytes on a socket that only they share."""

from enum import Enum

READY = b"R"
"""From a child: it serves."""


class Order(Enum):
    """From the parent."""

    LEAVE = b"L"
    """Others serve now: stop accepting, answer what is open, drain."""
    DRAIN = b"D"
    """The service stops: refuse new turns, drain."""
    HURRY = b"H"
    """Stop waiting; record and go."""
