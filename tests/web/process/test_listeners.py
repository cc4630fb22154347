"""Listening sockets: those that a server uses, and those that it refuses."""

import os
import socket

import pytest

from web.config import Address, Inherited
from web.process.listeners import (
    Inheritance,
    is_supervised,
    open_sockets,
    take_inheritance,
)
from web.process.startup import StartupRefused
from web.server import ServerSettings

SETTINGS = ServerSettings(write_stall_s=30)
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
        assert sock.fileno() == number, "a copy would keep a closed listener alive"


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


def test_address_in_use_is_refused_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = Address(*taken.getsockname())
        with pytest.raises(StartupRefused, match="in use") as caught:
            open_sockets(bind, (), SETTINGS)
    assert str(bind) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("bind", "why"),
    [
        (Address("nowhere.invalid", 1), "not a known address"),
        (Address("192.0.2.1", 0), "no such address"),
        (Inherited(10**20), "not an inherited"),
        (Inherited(999), "not an inherited"),
    ],
)
def test_bad_address_is_refused(bind: Address | Inherited, why: str) -> None:
    with pytest.raises(StartupRefused, match=why):
        open_sockets(bind, (), SETTINGS)


def test_bad_descriptor_closes_the_other_sockets() -> None:
    number = listener_descriptor()
    with pytest.raises(StartupRefused):
        open_sockets(ANYWHERE, (number, 999), SETTINGS)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


def test_keepalive_finds_a_dead_peer_within_the_stall_time() -> None:
    (sock,) = open_sockets(ANYWHERE, (), SETTINGS)
    with sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        idle = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
        interval = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL)
        count = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT)
        # TCP_USER_TIMEOUT would also drop live peers whose receive window is full.
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0
        assert not sock.getblocking()
    assert idle + interval * count == 28


@pytest.mark.parametrize("write_stall_s", [123_000, 1e300])
def test_stall_time_beyond_the_kernels_longest_keepalive_is_accepted(write_stall_s: float) -> None:
    (sock,) = open_sockets(ANYWHERE, (), ServerSettings(write_stall_s=write_stall_s))
    with sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 32_766
