"""What systemd tells a service, and what it likes to hear from it.

Sockets come as descriptors from 3 on (sd_listen_fds(3)), news go to a datagram socket
(sd_notify(3)). Both are told by environment variables, and absent everywhere else.
"""

import os
import socket
from collections.abc import Mapping

READY = "READY=1"
STOPPING = "STOPPING=1"
_FIRST = 3


def passed_sockets(environ: Mapping[str, str], pid: int) -> tuple[int, ...]:
    """The descriptors of the sockets that were passed to this process; raises `ValueError`.

    `LISTEN_PID` says whom they are for: the variables also reach processes started later.
    """
    if environ.get("LISTEN_PID") != str(pid):
        return ()
    count = environ.get("LISTEN_FDS", "")
    if not (count.isascii() and count.isdigit()):
        raise ValueError(f"LISTEN_FDS must be a number of sockets, not {count!r}")
    return tuple(range(_FIRST, _FIRST + int(count)))


def notify(news: str, environ: Mapping[str, str] = os.environ) -> None:
    """Send `news` to whoever asked for it with `NOTIFY_SOCKET`; nothing depends on its arrival."""
    name = environ.get("NOTIFY_SOCKET")
    if not name:
        return
    address = "\0" + name[1:] if name.startswith("@") else name
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.setblocking(False)
            sock.sendto(news.encode(), address)
    except OSError:
        return
