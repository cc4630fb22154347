"""Detects vanished peers with information that only the kernel has.

TCP's own timers are not enough. Keep-alive detects a dead peer only while no data is in flight, but
heartbeats are sent. With data in flight the kernel gives up after a quarter of an hour, or after
TCP_USER_TIMEOUT, which would also cut off readers that are merely slow.
"""

import socket
import struct
import sys

_INFO = struct.Struct("=24xI28xI84xI")
"""Linux's `struct tcp_info`: unacknowledged segments, time since the last ACK, unsent bytes.

It only grows; it has this size since 4.6.
"""


def has_vanished(sock: socket.socket, patience_s: float) -> bool:
    """Return True if data is unacknowledged or unsent and no ACK arrived for `patience_s`.

    A live peer sends an ACK at least at every keep-alive probe, and each time it has read. A peer
    that reads nothing is probed at growing intervals, but its write has stalled long before that.
    Return False if the kernel does not provide the information.
    """
    if sys.platform != "linux":
        return False
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size)
    except OSError:
        return False  # the socket was closed, or is not TCP
    return len(info) == _INFO.size and is_overdue(info, patience_s)


def is_overdue(info: bytes, patience_s: float) -> bool:
    """Apply the rule to the kernel's `tcp_info`."""
    unacknowledged, last_ms, unsent = _INFO.unpack(info)
    return bool(unacknowledged or unsent) and last_ms >= patience_s * 1000
