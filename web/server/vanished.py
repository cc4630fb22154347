"""Peers that vanished, as far as only the kernel knows.

Its own clocks are not enough. Keep-alive finds a peer that is gone while nothing is on its way to
it, but a heartbeat is; and from then on the user timeout counts, which must not be shorter than
`write_stall_s`, or it would cut readers that merely pause.
"""

import socket
import struct
import sys

_UNACKED = 24
_LAST_ACK_RECEIVED = 56
_INFO_BYTES = 60
"""Of Linux's `struct tcp_info`, whose beginning never changes."""


def has_vanished(sock: socket.socket, patience_s: float) -> bool:
    """Whether something is on its way and the peer has acknowledged nothing for so long.

    A living peer does so at least as often as keep-alive asks, also while it does not read.
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
    (last_ms,) = struct.unpack_from("=I", info, _LAST_ACK_RECEIVED)
    return bool(unacknowledged) and last_ms >= patience_s * 1000
