import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.records.turn_records import SpoolFailed
from store.spool.spool import Spool

LIMIT = 1 << 18


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """Yield a spool of 256 KiB."""
    spool = Spool.create(tmp_path / "a.spool", LIMIT)
    yield spool
    spool.close(remove=True)


def read_all(spool: Spool) -> list[bytes]:
    """Read all records, from the first one."""
    spool.rewind()
    found: list[bytes] = []
    while some := spool.read():
        found += some
    return found


def die_and_adopt(spool: Spool) -> Spool:
    """Close the spool as if the process had died, and adopt it as the next one would."""
    spool.close(remove=False)
    adopted = Spool.adopt(spool.path)
    assert adopted is not None
    return adopted


def test_file_is_allocated_in_advance(spool: Spool) -> None:
    stat = spool.path.stat()
    assert stat.st_size == LIMIT
    assert stat.st_blocks * 512 >= LIMIT


def test_records_are_read_in_order(spool: Spool) -> None:
    records = [b"a", b"", b"c" * 1000]
    for record in records:
        spool.append(record)
    assert read_all(spool) == records
    assert spool.records == 3


def test_clear_keeps_unread_records(spool: Spool) -> None:
    spool.append(b"a")
    assert spool.read() == [b"a"]
    spool.append(b"b")
    assert not spool.clear()
    assert spool.read() == [b"b"]
    assert spool.clear()
    assert (spool.records, spool.bytes_used, read_all(spool)) == (0, 0, [])


def test_cleared_spool_is_reused_from_the_start(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path / "a.spool", LIMIT)
    for record in (b"old1", b"old2", b"old3"):
        spool.append(record)
    read_all(spool)
    spool.clear()
    spool.append(b"new1")
    adopted = die_and_adopt(spool)
    assert read_all(adopted) == [b"new1"]
    adopted.close(remove=True)


def test_cleared_records_are_overwritten(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path / "a.spool", 6 << 20)
    for _ in range(5):
        spool.append(b"secret" * 150_000)
    read_all(spool)
    assert spool.clear()
    assert not spool.path.read_bytes().strip(b"\0")
    spool.append(b"new")
    assert read_all(spool) == [b"new"]
    spool.close(remove=True)


def test_torn_record_is_ignored(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path / "a.spool", LIMIT)
    spool.append(b"whole")
    whole = spool.bytes_used
    spool.append(b"torn" * 100)
    with spool.path.open("r+b") as file:
        file.seek(whole + 50)
        file.write(bytes(1000))
    adopted = die_and_adopt(spool)
    assert read_all(adopted) == [b"whole"]
    adopted.close(remove=True)


def test_length_beyond_the_file_is_ignored(spool: Spool) -> None:
    spool.append(b"whole")
    with spool.path.open("r+b") as file:
        file.seek(spool.bytes_used)
        file.write(b"\xff" * 16)
    assert read_all(spool) == [b"whole"]


def test_spool_of_living_process_is_not_adopted(spool: Spool) -> None:
    assert Spool.adopt(spool.path) is None


def test_missing_spool_is_not_adopted(tmp_path: Path) -> None:
    assert Spool.adopt(tmp_path / "none.spool") is None


def test_spool_never_exceeds_its_limit(spool: Spool) -> None:
    spool.append(b"x" * 200_000)
    with pytest.raises(SpoolFailed, match=r"is full \(262144 bytes\)"):
        spool.append(b"y" * 100_000)
    spool.append(b"z")
    assert read_all(spool) == [b"x" * 200_000, b"z"]
    assert spool.path.stat().st_size == LIMIT


def test_spool_grows_in_steps_up_to_its_limit(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path / "a.spool", 6 << 20)
    assert spool.path.stat().st_size == 4 << 20
    for _ in range(5):
        spool.append(b"x" * (1 << 20))
    assert spool.path.stat().st_size == 6 << 20
    assert len(read_all(spool)) == 5
    spool.close(remove=True)


def test_spool_is_smaller_if_space_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allocate = os.posix_fallocate

    def little_space(descriptor: int, offset: int, size: int) -> None:
        if size > 1 << 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        allocate(descriptor, offset, size)

    monkeypatch.setattr(os, "posix_fallocate", little_space)
    spool = Spool.create(tmp_path / "a.spool", 6 << 20)
    assert spool.path.stat().st_size == 1 << 20
    spool.append(b"x" * 900_000)
    with pytest.raises(SpoolFailed, match="No space left"):
        spool.append(b"y" * 900_000)
    assert read_all(spool) == [b"x" * 900_000]
    spool.close(remove=True)


def test_failed_allocation_leaves_no_file_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(_descriptor: int, _offset: int, _size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", no_space)
    with pytest.raises(OSError, match="No space left"):
        Spool.create(tmp_path / "a.spool", LIMIT)
    assert list(tmp_path.iterdir()) == []


def test_append_after_close_fails(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path / "a.spool", LIMIT)
    spool.close(remove=True)
    with pytest.raises(SpoolFailed):
        spool.append(b"late")
