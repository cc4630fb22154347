"""Opens the listening sockets.

Sockets inherited from systemd or the supervisor are used if there are any, else the configured
address.
"""

import os
import socket
from collections.abc import Mapping, MutableMapping
from ipaddress import ip_address

from msgspec import Struct

from web.config import Address, Inherited
from web.process.startup import StartupRefused
from web.process.systemd import passed_sockets
from web.server import BindError, ServerSettings, bind_sockets

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
    descriptors = passed or ((bind.fd,) if isinstance(bind, Inherited) else ())
    binds = [str(Inherited(number)) for number in descriptors] or [str(bind)]
    try:
        sockets = bind_sockets(binds, settings)
    except BindError as error:
        raise StartupRefused(str(error)) from error
    for number in descriptors:
        # `bind_sockets` duplicated the descriptor. A copy would keep a closed listener alive.
        os.close(number)
    try:
        for sock in sockets:
            _check_loopback(sock)
    except StartupRefused:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _check_loopback(sock: socket.socket) -> None:
    if sock.family in {socket.AF_INET, socket.AF_INET6}:
        host = str(sock.getsockname()[0])
        if not ip_address(host).is_loopback:
            raise StartupRefused(
                f"the inherited socket listens on {host}, which other machines can reach, but"
                " requests are not authenticated yet; bind it to a loopback address"
            )
