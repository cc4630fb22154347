"""Detection of dead peers from the kernel's TCP state."""

import socket
import struct

import pytest

from web.server.dead_peer import has_vanished, is_overdue


def info(unacknowledged: int, unsent: int, last_ack_ms: int) -> bytes:
    fields = [0] * 35
    fields[4], fields[34], fields[12] = unacknowledged, unsent, last_ack_ms
    return b"\1" * 8 + struct.pack("=35I", *fields)


@pytest.mark.parametrize(
    ("unacknowledged", "unsent", "last_ack_ms", "vanished"),
    [
        (0, 0, 0, False),
        (0, 0, 99_000, False),
        (1, 0, 27_999, False),
        (1, 0, 28_000, True),
        (9, 9, 99_000, True),
        (0, 1, 27_999, False),
        (0, 1, 28_000, True),
    ],
)
def test_only_a_peer_that_owes_an_acknowledgement_is_overdue(
    unacknowledged: int, unsent: int, last_ack_ms: int, vanished: bool
) -> None:
    assert is_overdue(info(unacknowledged, unsent, last_ack_ms), 28) is vanished


def test_live_peer_has_not_vanished() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        served, _ = listener.accept()
        with served:
            served.sendall(b"x" * 1000)
            assert client.recv(1)
            assert not has_vanished(served, 0.5)
            client.close()
        assert not has_vanished(served, 0), "a closed socket has no peer"


def test_other_sockets_are_ignored() -> None:
    left, right = socket.socketpair()
    with left, right:
        left.sendall(b"x")
        assert not has_vanished(left, 0)
