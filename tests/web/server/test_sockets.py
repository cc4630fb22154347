"""Listening sockets: their options, and bind errors that name the remedy."""

import os
import socket

import pytest

from web.server import BindError, ServerSettings, bind_sockets

SETTINGS = ServerSettings(write_stall_s=30)


def test_port_in_use_is_reported_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(BindError, match="in use") as caught:
            bind_sockets([bind], SETTINGS)
    assert bind in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("bind", "why"),
    [
        ("127.0.0.1", "host:port"),
        ("127.0.0.1:http", "host:port"),
        ("127.0.0.1:70000", "host:port"),
        ("nowhere.invalid:1", "not a known address"),
        ("192.0.2.1:0", "no such address"),
        ("fd://nine", "not an inherited"),
        ("fd://999", "not an inherited"),
    ],
)
def test_bad_address_is_reported(bind: str, why: str) -> None:
    with pytest.raises(BindError, match=why):
        bind_sockets([bind], SETTINGS)


def test_bad_address_closes_the_other_sockets() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(BindError):
        bind_sockets([f"127.0.0.1:{port}", "127.0.0.1"], SETTINGS)
    bind_sockets([f"127.0.0.1:{port}"], SETTINGS)[0].close()


def test_keepalive_finds_a_dead_peer_within_the_stall_time() -> None:
    (sock,) = bind_sockets(["127.0.0.1:0"], SETTINGS)
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


def test_inherited_socket_is_adopted() -> None:
    with socket.socket() as parent:
        parent.bind(("127.0.0.1", 0))
        parent.listen()
        (adopted,) = bind_sockets([f"fd://{parent.fileno()}"], SETTINGS)
        with adopted:
            assert adopted.getsockname() == parent.getsockname()
            assert adopted.fileno() != parent.fileno()
            os.fstat(parent.fileno())
