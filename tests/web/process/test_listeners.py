"""Listening sockets: those that a server uses, and those that it refuses."""

import os
import socket

import pytest

from web.config import Address, Inherited
from web.process.listeners import Inheritance, is_supervised, open_sockets, take_inheritance
from web.process.startup import StartupRefused
from web.server import ServerSettings

SETTINGS = ServerSettings()
ANYWHERE = Address("127.0.0.1", 0)


def listener_descriptor(host: str = "127.0.0.1") -> int:
    """Return the descriptor of a listening socket, as a child inherits it."""
    return socket.create_server((host, 0)).detach()


def test_inheritance_is_taken_from_the_environment() -> None:
    environ = {"LISTEN_PID": "7", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web", "HOME": "/"}
    assert take_inheritance(environ, 7) == Inheritance((3,))
    assert environ == {"HOME": "/"}


def test_supervisor_takes_precedence_over_systemd() -> None:
    environ = {"TROUPER_SUPERVISED": "5:6,7", "LISTEN_PID": "7", "LISTEN_FDS": "1"}
    assert is_supervised(environ)
    assert take_inheritance(environ, 7) == Inheritance((6, 7), control=5)
    assert environ == {}


@pytest.mark.parametrize(
    "environ", [{"TROUPER_SUPERVISED": "x"}, {"LISTEN_PID": "7", "LISTEN_FDS": "many"}]
)
def test_malformed_environment_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(StartupRefused, match="environment"):
        take_inheritance(environ, 7)


def test_passed_sockets_are_used_instead_of_the_configured_address() -> None:
    number = listener_descriptor()
    (sock,) = open_sockets(Address("127.0.0.1", 1), (number,), SETTINGS)
    with sock:
        assert sock.getsockname()[1] != 1
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(number)


def test_descriptor_can_be_configured() -> None:
    (sock,) = open_sockets(Inherited(listener_descriptor()), (), SETTINGS)
    with sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


def test_socket_that_other_machines_can_reach_is_refused() -> None:
    number = listener_descriptor("0.0.0.0")
    with pytest.raises(StartupRefused, match=r"0\.0\.0\.0, which other machines can reach"):
        open_sockets(ANYWHERE, (number,), SETTINGS)


def test_socket_that_does_not_listen_is_refused() -> None:
    with (
        socket.socket() as sock,
        pytest.raises(StartupRefused, match="not an inherited listening socket"),
    ):
        open_sockets(ANYWHERE, (sock.fileno(),), SETTINGS)


def test_address_in_use_is_refused() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(StartupRefused, match="in use"),
    ):
        open_sockets(Address(*taken.getsockname()), (), SETTINGS)
