"""Opens the listening sockets.

Sockets inherited from systemd or the supervisor are used if there are any, else the configured
address.
"""

import errno
import socket
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import ExitStack
from ipaddress import ip_address

from msgspec import Struct

from web.config import Address, Inherited
from web.process.startup import StartupRefused
from web.process.systemd import passed_sockets
from web.server import ServerSettings

_WORDS = {
    errno.EADDRINUSE: "the port is in use by another process; stop it or choose another port",
    errno.EACCES: "no permission; ports below 1024 need it",
    errno.EADDRNOTAVAIL: "this machine has no such address",
}

_UNSENT_BYTES = 128 * 1024
"""Bound on the unsent bytes in the kernel; see `_set_options`."""
_LONGEST_KEEPALIVE_S = 32_767
"""Largest TCP_KEEPIDLE and TCP_KEEPINTVL that Linux accepts (tcp(7), `MAX_TCP_KEEPIDLE`)."""

SUPERVISED = "TROUPER_SUPERVISED"
"""Environment variable with a supervised process's descriptors, `control:socket,socket…`."""


class Inheritance(Struct, frozen=True):
    """File descriptors that this process inherited."""

    sockets: tuple[int, ...] = ()
    control: int | None = None
    """Descriptor of the socket to the supervisor; None without a supervisor."""


def take_inheritance(environ: MutableMapping[str, str], pid: int) -> Inheritance:
    """Read the descriptors that systemd or the supervisor passed, and clear their variables.

    Child processes must not see the variables. Raises `StartupRefused`.
    """
    try:
        if SUPERVISED in environ:
            control, _, numbers = environ[SUPERVISED].partition(":")
            return Inheritance(tuple(map(int, numbers.split(","))), int(control))
        return Inheritance(passed_sockets(environ, pid))
    except ValueError as error:
        raise StartupRefused(f"invalid environment variable: {error}") from error
    finally:
        for name in (SUPERVISED, "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
            environ.pop(name, None)


def is_supervised(environ: Mapping[str, str]) -> bool:
    """Return True if a supervisor started this process."""
    return SUPERVISED in environ


def open_sockets(
    bind: Address | Inherited, passed: tuple[int, ...], settings: ServerSettings
) -> list[socket.socket]:
    """Listen on the passed descriptors, or else on `bind`. Raises `StartupRefused`."""
    if isinstance(bind, Inherited):
        found: Iterator[socket.socket] = map(_inherited, passed or (bind.fd,))
    else:
        found = map(_inherited, passed) if passed else _listening(bind, settings.backlog)
    sockets: list[socket.socket] = []
    with ExitStack() as opened:
        for sock in found:
            sockets.append(opened.enter_context(sock))
            sock.setblocking(False)
            if sock.family in {socket.AF_INET, socket.AF_INET6}:
                _set_options(sock, settings.write_stall_s)
                _check_loopback(sock)
        opened.pop_all()
    return sockets


def _inherited(descriptor: int) -> socket.socket:
    message = f"cannot use fd://{descriptor}: it is not an inherited listening socket"
    try:
        sock = socket.socket(fileno=descriptor)
    except (OSError, OverflowError) as error:
        raise StartupRefused(message) from error
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.detach()
        raise StartupRefused(message)
    return sock


def _listening(bind: Address, backlog: int) -> Iterator[socket.socket]:
    """Listen on each address that the host's name resolves to. Port 0 lets the system choose."""
    flags = socket.AI_PASSIVE | socket.AI_NUMERICSERV
    try:
        found = socket.getaddrinfo(*bind, type=socket.SOCK_STREAM, flags=flags)
        for family, _, _, _, address in dict.fromkeys(found):
            yield socket.create_server(address, family=family, backlog=backlog)
    except socket.gaierror as error:
        text = f"cannot listen on {bind}: {bind.host!r} is not a known address"
        raise StartupRefused(text) from error
    except OSError as error:
        text = _WORDS.get(error.errno or 0, error.strerror or str(error))
        raise StartupRefused(f"cannot listen on {bind}: {text}") from error


def _set_options(sock: socket.socket, write_stall_s: float) -> None:
    """Set the options that accepted TCP connections inherit: no delay, and dead-peer detection.

    Keep-alive detects a peer that vanished while we were silent, a little before `write_stall_s`;
    `web.server.dead_peer` detects one that vanished while we were writing. TCP_USER_TIMEOUT would
    detect it too, but it also cuts off a peer whose window stays smaller than the next segment,
    however well it reads. The bound on unsent bytes keeps a slow reader from looking stalled:
    without it Linux accepts no more data until a third of a buffer of megabytes is free.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    interval = max(1, round(min(write_stall_s * 2 / 15, _LONGEST_KEEPALIVE_S // 2)))
    options = {
        "TCP_KEEPIDLE": 2 * interval,
        "TCP_KEEPINTVL": interval,
        "TCP_KEEPCNT": 5,
        "TCP_NOTSENT_LOWAT": _UNSENT_BYTES,
    }
    for name, value in options.items():
        option = getattr(socket, name, None)  # some systems lack some of the options
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _check_loopback(sock: socket.socket) -> None:
    host = str(sock.getsockname()[0])
    if not ip_address(host).is_loopback:
        raise StartupRefused(
            f"the inherited socket listens on {host}, which other machines can reach, but"
            " requests are not authenticated yet; bind it to a loopback address"
        )
