"""systemd's protocols: the sockets that it passes, and the state that it is notified of.

Specifications: sd_listen_fds(3) and sd_notify(3).
"""

import os
import socket
from collections.abc import Mapping

READY = "READY=1"
STOPPING = "STOPPING=1"
_FIRST = 3
"""First descriptor that systemd passes."""


def passed_sockets(environ: Mapping[str, str], pid: int) -> tuple[int, ...]:
    """Return the descriptors of the sockets passed to this process. Raises `ValueError`.

    `LISTEN_PID` must match, because child processes inherit the variables too.
    """
    if environ.get("LISTEN_PID") != str(pid):
        return ()
    count = environ.get("LISTEN_FDS", "")
    if not (count.isascii() and count.isdigit()):
        raise ValueError(f"LISTEN_FDS must be the number of sockets, not {count!r}")
    return tuple(range(_FIRST, _FIRST + int(count)))


def notify(state: str, environ: Mapping[str, str] = os.environ) -> None:
    """Send `state` to the socket named by `NOTIFY_SOCKET`, if any; errors are ignored."""
    name = environ.get("NOTIFY_SOCKET")
    if not name:
        return
    address = "\0" + name[1:] if name.startswith("@") else name
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.setblocking(False)
            sock.sendto(state.encode(), address)
    except OSError:
        return
