"""Startup errors: exit code 1 and one line on standard error with the remedy."""

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live.faults.test_store_outages import lock
from tests.support.live.harness import ROOT, Process, serving, write_config


def startup_error(config: Path) -> str:
    """Run `trouper serve`, assert that it fails with one line on stderr, and return the line."""
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
def database_template(tmp_path_factory: pytest.TempPathFactory, upstream: Process) -> Path:
    """Return a database created by a server that has since stopped."""
    directory = tmp_path_factory.mktemp("made")
    with serving(directory, write_config(directory, upstream.port, "grace_s = 0\n")) as server:
        pass
    return server.database


def read_only(database: Path) -> None:
    """Mark the file as read-only in its header, which root cannot bypass, unlike file modes.

    Sets the "write version", https://www.sqlite.org/fileformat.html, section 1.3.3.
    """
    overwrite(database, 18, b"\x03")


def corrupt(database: Path) -> None:
    """Overwrite some pages with garbage."""
    overwrite(database, 3 * 4096, b"\xa5" * 4096 * 10)


def newer(database: Path) -> None:
    """Set the schema version to that of a later release."""
    connection = sqlite3.connect(database)
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = '0099'")
    connection.close()


def overwrite(database: Path, at: int, content: bytes) -> None:
    """Write `content` at an offset of the file."""
    with database.open("r+b") as file:
        file.seek(at)
        file.write(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (read_only, "the database cannot be written; let this user write"),
        (corrupt, "the database file is damaged; restore a backup, or move the file away"),
        (newer, "upgrade Trouper, or give another store.url"),
    ],
)
def test_unusable_database(
    tmp_path: Path,
    upstream: Process,
    database_template: Path,
    damage: Callable[[Path], None],
    message: str,
) -> None:
    database = tmp_path / "trouper.db"
    shutil.copy(database_template, database)
    damage(database)
    line = startup_error(write_config(tmp_path, upstream.port))
    assert str(database) in line
    assert message in line


def test_database_locked_by_another_process(
    tmp_path: Path, upstream: Process, database_template: Path
) -> None:
    database = tmp_path / "trouper.db"
    shutil.copy(database_template, database)
    with lock(database):
        line = startup_error(write_config(tmp_path, upstream.port))
    assert "stop the process that holds it, then start again" in line


def test_port_in_use(tmp_path: Path, upstream: Process) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = startup_error(write_config(tmp_path, upstream.port, port=port))
    assert f"127.0.0.1:{port}: the port is in use by another process" in line
    assert "choose another port" in line


def test_reachable_address_without_api_keys(tmp_path: Path, upstream: Process) -> None:
    config = write_config(tmp_path, upstream.port)
    config.write_text(config.read_text().replace("127.0.0.1:0", "0.0.0.0:0"))
    line = startup_error(config)
    assert "requests are not authenticated yet" in line
    assert "bind 127.0.0.1" in line
