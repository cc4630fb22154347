"""The sockets to listen on: those that this process was started with, else the configured one."""

import os
import socket
from collections.abc import Mapping, MutableMapping
from ipaddress import ip_address

from msgspec import Struct

from web.config import Address, Inherited
from web.server import BindError, ServerSettings, bind_sockets
from web.startup import StartupRefused
from web.systemd import passed_sockets

SUPERVISED = "TROUPER_SUPERVISED"
"""`control:socket,socket…`: the descriptors that a supervised process was started with."""


class Inheritance(Struct, frozen=True):
    """What this process was started with, as descriptors."""

    sockets: tuple[int, ...] = ()
    control: int | None = None
    """The socket to the supervisor, if there is one."""


def take_inheritance(environ: MutableMapping[str, str], pid: int) -> Inheritance:
    """Read what systemd or the supervisor left in the environment, and remove it from there.

    Raises `StartupRefused`.
    """
    try:
        if SUPERVISED in environ:
            control, _, numbers = environ[SUPERVISED].partition(":")
            return Inheritance(tuple(map(int, numbers.split(","))), int(control))
        return Inheritance(passed_sockets(environ, pid))
    except ValueError as error:
        raise StartupRefused(f"the environment is broken: {error}") from error
    finally:
        for name in (SUPERVISED, "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
            environ.pop(name, None)


def is_supervised(environ: Mapping[str, str]) -> bool:
    """Whether a supervisor started this process."""
    return SUPERVISED in environ


def open_sockets(
    bind: Address | Inherited, passed: tuple[int, ...], settings: ServerSettings
) -> list[socket.socket]:
    """Listen on what was passed, else on `bind`; raises `StartupRefused`."""
    descriptors = passed or ((bind.fd,) if isinstance(bind, Inherited) else ())
    binds = [str(Inherited(number)) for number in descriptors] or [str(bind)]
    try:
        sockets = bind_sockets(binds, settings)
    except BindError as error:
        raise StartupRefused(str(error)) from error
    for number in descriptors:
        os.close(number)  # we have duplicates: a listener must be gone when it is closed
    try:
        for sock in sockets:
            _refuse_strangers(sock)
    except StartupRefused:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _refuse_strangers(sock: socket.socket) -> None:
    if sock.family in {socket.AF_INET, socket.AF_INET6}:
        host = str(sock.getsockname()[0])
        if not ip_address(host).is_loopback:
            raise StartupRefused(
                f"the inherited socket listens on {host}, which other machines can reach, and"
                " there are no API keys yet to say who may use it; let it listen on loopback"
            )
