"""Peers that vanished, as far as only the kernel knows.

Its own clocks are not enough. Keep-alive finds a peer that is gone while nothing is on its way to
it, but a heartbeat is; and what then counts is a quarter of an hour, or a user timeout, which
would also cut readers that are merely slow.
"""

import socket
import struct
import sys

_UNACKED = 24
_LAST_ACK_RECEIVED = 56
_NOT_SENT = 144
_INFO_BYTES = 148
"""Of Linux's `struct tcp_info`, which only ever grows; so long since 4.6."""


def has_vanished(sock: socket.socket, patience_s: float) -> bool:
    """Whether something is on its way, or waits for room, and nothing was acknowledged for so long.

    A living peer does so at least as often as keep-alive asks, and each time it has read. One that
    reads nothing is asked ever more rarely: it has stalled long before it looks like this.
    Where the kernel does not tell, this is false.
    """
    if sys.platform != "linux":
        return False
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
    except OSError:
        return False  # closed meanwhile, or not TCP
    return len(info) == _INFO_BYTES and is_overdue(info, patience_s)


def is_overdue(info: bytes, patience_s: float) -> bool:
    """The rule, on the kernel's record."""
    (unacknowledged,) = struct.unpack_from("=I", info, _UNACKED)
    (unsent,) = struct.unpack_from("=I", info, _NOT_SENT)
    (last_ms,) = struct.unpack_from("=I", info, _LAST_ACK_RECEIVED)
    return bool(unacknowledged or unsent) and last_ms >= patience_s * 1000
