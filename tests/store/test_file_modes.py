"""Modes of the files that the store and the simulated provider create."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from store.spool.spool import Spool
from store.store import StoreSettings, open_store
from web.drill.witness.observations import keep_witness_file, witness_channel

PRIVATE = 0o600


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def modes(directory: Path) -> dict[str, int]:
    """Return the mode of each file, by its name without the owner's id."""
    return {
        re.sub(r"own_\w+", "own", path.name): stat.S_IMODE(path.stat().st_mode)
        for path in directory.iterdir()
    }


@pytest.mark.usefixtures("umask")
async def test_all_files_of_the_store_are_private(tmp_path: Path) -> None:
    async with open_store(StoreSettings(url=f"sqlite:///{tmp_path}/t.db")):
        found = modes(tmp_path)
    assert found == dict.fromkeys(
        ["t.db", "t.db-wal", "t.db-shm", "t.db-own.lock", "t.db-own.spool"], PRIVATE
    )


@pytest.mark.usefixtures("umask")
async def test_database_behind_a_link_is_private(tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "t.db").symlink_to("volume/t.db")
    async with open_store(StoreSettings(url=f"sqlite:///{tmp_path}/t.db")):
        found = modes(tmp_path / "volume")
    assert found == dict.fromkeys(["t.db", "t.db-wal", "t.db-shm"], PRIVATE)


async def test_existing_database_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    settings = StoreSettings(url=f"sqlite:///{path}")
    async with open_store(settings):
        pass
    path.chmod(0o640)
    async with open_store(settings):
        found = modes(tmp_path)
    assert (found["t.db"], found["t.db-wal"]) == (0o640, 0o640)


@pytest.mark.usefixtures("umask")
def test_refused_records_are_private(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path / "t.spool", 1 << 20)
    spool.set_aside(b"record")
    spool.close(remove=True)
    assert modes(tmp_path) == {"t.spool-refused": PRIVATE}


@pytest.mark.usefixtures("umask")
async def test_witness_file_is_private(tmp_path: Path) -> None:
    sender, receiver = witness_channel()
    async with trio.open_nursery() as nursery:
        await nursery.start(keep_witness_file, tmp_path / "witness", receiver)
        sender.close()
    assert modes(tmp_path) == {"witness": PRIVATE}
