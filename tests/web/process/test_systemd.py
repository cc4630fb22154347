"""systemd's environment variables and its notification socket."""

import socket
from pathlib import Path

import pytest

from web.process.systemd import READY, notify, passed_sockets


@pytest.mark.parametrize(
    ("environ", "sockets"),
    [
        ({}, ()),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "2"}, (3, 4)),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "0"}, ()),
        ({"LISTEN_PID": "8", "LISTEN_FDS": "2"}, ()),
        ({"LISTEN_FDS": "2"}, ()),
    ],
)
def test_passed_sockets_are_read(environ: dict[str, str], sockets: tuple[int, ...]) -> None:
    assert passed_sockets(environ, 7) == sockets


@pytest.mark.parametrize("count", ["", "-1", "x", "²"])
def test_invalid_count_is_an_error(count: str) -> None:
    with pytest.raises(ValueError, match="LISTEN_FDS"):
        passed_sockets({"LISTEN_PID": "7", "LISTEN_FDS": count}, 7)


@pytest.mark.parametrize("abstract", [False, True])
def test_notification_arrives(tmp_path: Path, abstract: bool) -> None:
    name = f"trouper-{tmp_path.name}" if abstract else str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name if abstract else name)
        sock.settimeout(5)
        notify(READY, {"NOTIFY_SOCKET": "@" + name if abstract else name})
        assert sock.recv(100) == b"READY=1"


def test_missing_notification_socket_is_ignored(tmp_path: Path) -> None:
    notify(READY, {"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    notify(READY, {})
