"""Listening sockets, created or inherited, with the options that connections inherit."""

import errno
import os
import socket
from collections.abc import Sequence

from web.server.settings import ServerSettings

_WORDS = {
    errno.EADDRINUSE: "the port is in use by another process; stop it or choose another port",
    errno.EACCES: "no permission; ports below 1024 need it",
    errno.EADDRNOTAVAIL: "this machine has no such address",
}

_UNSENT = {"TCP_NOTSENT_LOWAT": 128 * 1024}
"""Socket option that bounds the unsent bytes in the kernel; see `set_options`."""


class BindError(Exception):
    """A failure to listen on an address; the message is one line that says which and why."""


def bind_sockets(binds: Sequence[str], settings: ServerSettings) -> list[socket.socket]:
    """Listen on each `host:port`, `[v6]:port` or `fd://n`. Raises `BindError` if any of them fails.

    If a name resolves to several addresses, listen on each. Port 0 lets the system choose.
    """
    sockets: list[socket.socket] = []
    try:
        for bind in binds:
            sockets += _adopt(bind) if bind.startswith("fd://") else _listen(bind, settings.backlog)
        for sock in sockets:
            set_options(sock, settings.write_stall_s)
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def set_options(sock: socket.socket, write_stall_s: float) -> None:
    """Set the options that accepted TCP connections inherit: no delay, and dead-peer detection.

    Keep-alive detects a peer that vanished while we were silent, a little before `write_stall_s`;
    `web.server.dead_peer` detects one that vanished while we were writing. TCP_USER_TIMEOUT would
    detect it too, but it also cuts off a peer whose window stays smaller than the next segment,
    however well it reads. The bound on unsent bytes keeps a slow reader from looking stalled:
    without it Linux accepts no more data until a third of a buffer of megabytes is free.
    """
    sock.setblocking(False)
    if sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in {**_dead_peer_options(write_stall_s), **_UNSENT}.items():
        option = getattr(socket, name, None)  # some systems lack some of the options
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _dead_peer_options(write_stall_s: float) -> dict[str, int]:
    interval = max(1, round(write_stall_s * 2 / 15))
    return {
        "TCP_KEEPIDLE": 2 * interval,
        "TCP_KEEPINTVL": interval,
        "TCP_KEEPCNT": 5,
    }


def _adopt(bind: str) -> list[socket.socket]:
    message = f"cannot use {bind}: it is not an inherited listening socket"
    try:
        sock = socket.socket(fileno=os.dup(int(bind.removeprefix("fd://"))))
    except (ValueError, OSError) as error:
        raise BindError(message) from error
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.close()
        raise BindError(message)
    return [sock]


def _listen(bind: str, backlog: int) -> list[socket.socket]:
    host, port = _split(bind)
    try:
        found = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )
    except socket.gaierror as error:
        raise BindError(f"cannot listen on {bind}: {host!r} is not a known address") from error
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            sock = socket.socket(family, kind, protocol)
            sockets.append(sock)
            _bind(sock, address, backlog)
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise BindError(f"cannot listen on {bind}: {_why(error)}") from error
    return sockets


def _bind(sock: socket.socket, address: object, backlog: int) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind(address)  # type: ignore[arg-type]  # an address from getaddrinfo
    sock.listen(backlog)


def _split(bind: str) -> tuple[str, str]:
    host, colon, port = bind.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise BindError(f"cannot listen on {bind!r}: an address is written host:port")
    return host.removeprefix("[").removesuffix("]"), port


def _why(error: OSError) -> str:
    return _WORDS.get(error.errno or 0, error.strerror or str(error))
