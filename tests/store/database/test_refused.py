"""Tests of databases that the store refuses to open, and of the one-line messages."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from store.database.settings import StoreSettings
from store.migrations import HEAD
from store.store import StoreRefused, open_store

NOBODY_UID = 65534

OPEN = """
import os, sys, trio
from store.database.settings import StoreSettings
from store.store import StoreRefused, open_store

async def main():
    try:
        async with open_store(StoreSettings(url="sqlite:///" + sys.argv[1])):
            print("opened")
    except StoreRefused as error:
        print(error)

if os.geteuid() == 0:
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
trio.run(main)
"""


async def refusal(settings: StoreSettings) -> str:
    """Open the store and return the one-line message of `StoreRefused`."""
    with pytest.raises(StoreRefused) as caught:
        async with open_store(settings):
            pass
    message = str(caught.value)
    assert "\n" not in message
    return message


def refusal_of_another_user(database: Path) -> str:
    """Return the message in a process without root's permissions."""
    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(database), str(NOBODY_UID)],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def overwrite(database: Path, content: bytes, *, at: int = 0) -> None:
    """Write `content` into the file at an offset; create the file if needed."""
    with database.open("r+b" if database.exists() else "wb") as file:
        file.seek(at)
        file.write(content)


def make_read_only(database: Path) -> None:
    """Make the file read-only in a directory that everyone can write."""
    database.chmod(0o444)
    database.parent.chmod(0o777)


async def make(settings: StoreSettings) -> None:
    async with open_store(settings):
        pass


async def test_file_that_is_not_a_database_is_refused(
    settings: StoreSettings, database: Path
) -> None:
    overwrite(database, b"this is not a database, but a text file that is longer\n" * 100)
    assert await refusal(settings) == (
        f"{database}: the database file is damaged;"
        " restore a backup, or move the file away to start with an empty one"
    )


async def test_damaged_page_is_refused(settings: StoreSettings, database: Path) -> None:
    await make(settings)
    overwrite(database, b"\xa5" * 4096 * 10, at=4096 * 3)
    assert "the database file is damaged" in await refusal(settings)


async def test_truncated_file_is_refused(settings: StoreSettings, database: Path) -> None:
    await make(settings)
    os.truncate(database, 4096 * 4)
    assert "the database file is damaged" in await refusal(settings)


async def test_newer_schema_is_refused(settings: StoreSettings, database: Path) -> None:
    await make(settings)
    connection = sqlite3.connect(database)
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = '0099'")
    connection.close()
    assert await refusal(settings) == (
        f"{database}: written by a newer Trouper (schema 0099, this one knows {HEAD});"
        " upgrade Trouper, or give another store.url"
    )


async def test_database_of_another_program_is_refused(
    settings: StoreSettings, database: Path
) -> None:
    connection = sqlite3.connect(database)
    connection.execute("CREATE TABLE recipes (id)")
    connection.close()
    assert "holds another program's tables" in await refusal(settings)


async def test_directory_instead_of_file_is_refused(
    settings: StoreSettings, database: Path
) -> None:
    os.mkdir(database)
    assert "cannot be opened; let this user write" in await refusal(settings)


async def test_missing_directory_is_refused(tmp_path: Path) -> None:
    settings = StoreSettings(url=f"sqlite:///{tmp_path}/none/trouper.db")
    assert await refusal(settings) == (
        f"{tmp_path}/none: no such directory; create it, or change store.url"
    )


async def test_directory_that_root_cannot_write_is_refused() -> None:
    assert (await refusal(StoreSettings(url="sqlite:////proc/trouper.db"))).startswith("/proc: ")


@pytest.fixture
def open_to_all(tmp_path: Path) -> Path:
    """Return a directory that another user can reach; pytest makes its own private."""
    directory = tmp_path
    while directory != directory.parent and directory.stat().st_uid == os.getuid():
        if not directory.stat().st_mode & 0o001:
            directory.chmod(directory.stat().st_mode | 0o055)
        directory = directory.parent
    return tmp_path


def test_read_only_directory_is_refused(open_to_all: Path) -> None:
    open_to_all.chmod(0o555)
    assert refusal_of_another_user(open_to_all / "trouper.db") == (
        f"{open_to_all}: Permission denied; let this user write there, or change store.url"
    )
    open_to_all.chmod(0o755)


@pytest.mark.usefixtures("open_to_all")
async def test_read_only_file_is_refused(settings: StoreSettings, database: Path) -> None:
    await make(settings)
    make_read_only(database)
    assert refusal_of_another_user(database) == (
        f"{database}: the database cannot be written;"
        " let this user write the file and its directory"
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("trouper.db", "store.url: not a URL"),
        ("mysql://secret:word@host/db", "'mysql' is not supported"),
        ("sqlite:///file:trouper.db?uri=true", "is a URI; give a path instead"),
    ],
)
async def test_invalid_url_is_refused(url: str, expected: str) -> None:
    message = await refusal(StoreSettings(url=url))
    assert expected in message
    assert "word" not in message


async def test_refusal_leaves_no_file_behind(settings: StoreSettings, database: Path) -> None:
    overwrite(database, b"no database" * 100)
    await refusal(settings)
    assert list(database.parent.iterdir()) == [database]
