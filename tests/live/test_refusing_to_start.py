"""What keeps the server from starting: one line on standard error that says what to do."""

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live.harness import ROOT, Process, serving, write_config
from tests.live.test_bad_stores import lock


def refusal(config: Path) -> str:
    """What the command prints; asserts that it fails, with one line."""
    done = subprocess.run(
        [sys.executable, "-m", "web.cli", "serve", "--config", str(config)],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if not k.startswith("TROUPER_")},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("trouper: ")
    return line


@pytest.fixture(scope="module")
def a_database(tmp_path_factory: pytest.TempPathFactory, upstream: Process) -> Path:
    """A database that a server has made and left."""
    directory = tmp_path_factory.mktemp("made")
    with serving(directory, write_config(directory, upstream.port, "grace_s = 0\n")) as server:
        pass
    return server.database


def read_only(database: Path) -> None:
    """Mark the file as one that may only be read, which binds root too.

    The "write version" of the header, https://www.sqlite.org/fileformat.html, section 1.3.3.
    """
    overwrite(database, 18, b"\x03")


def corrupt(database: Path) -> None:
    """Damage some pages."""
    overwrite(database, 3 * 4096, b"\xa5" * 4096 * 10)


def newer(database: Path) -> None:
    """Pretend that a later version has migrated it."""
    connection = sqlite3.connect(database)
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = '0099'")
    connection.close()


def overwrite(database: Path, at: int, content: bytes) -> None:
    """Write into the file."""
    with database.open("r+b") as file:
        file.seek(at)
        file.write(content)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (read_only, "the database cannot be written; let this user write"),
        (corrupt, "the database file is damaged; restore a backup, or move the file away"),
        (newer, "upgrade Trouper, or give another store.url"),
    ],
)
def test_a_database_that_cannot_be_used(
    tmp_path: Path,
    upstream: Process,
    a_database: Path,
    spoil: Callable[[Path], None],
    said: str,
) -> None:
    database = tmp_path / "trouper.db"
    shutil.copy(a_database, database)
    spoil(database)
    line = refusal(write_config(tmp_path, upstream.port))
    assert str(database) in line
    assert said in line


def test_a_database_that_another_process_locks(
    tmp_path: Path, upstream: Process, a_database: Path
) -> None:
    database = tmp_path / "trouper.db"
    shutil.copy(a_database, database)
    with lock(database):
        line = refusal(write_config(tmp_path, upstream.port))
    assert "stop the process that holds it, then start again" in line


def test_a_port_in_use(tmp_path: Path, upstream: Process) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refusal(write_config(tmp_path, upstream.port, port=port))
    assert f"127.0.0.1:{port}: the port is in use by another process" in line
    assert "choose another port" in line


def test_an_address_that_others_can_reach(tmp_path: Path, upstream: Process) -> None:
    config = write_config(tmp_path, upstream.port)
    config.write_text(config.read_text().replace("127.0.0.1:0", "0.0.0.0:0"))
    line = refusal(config)
    assert "no API keys yet" in line
    assert "bind 127.0.0.1" in line
