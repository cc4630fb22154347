"""Disks that fill up for real, and have space again."""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tests.live.harness import Server

SIZE = 12 * 2**20
FIRST_PAGES = 4 * 4096


class Disk(Protocol):
    """Where a server keeps its files."""

    directory: Path
    keeps: frozenset[bytes]
    """What streams say of where their records are, while it is full."""

    def fill(self, server: Server) -> None:
        """From now on nothing more fits."""

    def free(self, server: Server) -> None:
        """There is space again."""


class SmallFileSystem:
    """A file system of twelve megabytes, which a file of ours fills up."""

    keeps = frozenset({b": stored spooled"})

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def fill(self, server: Server) -> None:
        """Write until the system says that there is no space left."""
        with (self.directory / "filler").open("wb", buffering=0) as filler:
            for size in (2**20, 2**12, 1):
                try:
                    while filler.write(bytes(size)):
                        pass
                except OSError:
                    continue

    def free(self, server: Server) -> None:
        """Remove it."""
        (self.directory / "filler").unlink()


class LimitedFiles:
    """Nothing of the server's may be written past the first pages of a file (`RLIMIT_FSIZE`).

    That holds for the spool too, so that it takes a few records only.
    """

    keeps = frozenset({b": stored spooled", b": stored unsaved"})

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def fill(self, server: Server) -> None:
        """Set the limit of the running server."""
        self._limit(server, FIRST_PAGES)

    def free(self, server: Server) -> None:
        """Lift it."""
        self._limit(server, resource.RLIM_INFINITY)

    def _limit(self, server: Server, size: int) -> None:
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@contextmanager
def small_file_system(directory: Path) -> Iterator[Disk]:
    """Mount one, which only root may."""
    mount = directory / "disk"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", mount], check=True)
    try:
        yield SmallFileSystem(mount)
    finally:
        subprocess.run(["umount", "--lazy", mount], check=True)


@contextmanager
def limited_files(directory: Path) -> Iterator[Disk]:
    """Limits need no rights and no preparation."""
    yield LimitedFiles(directory)


def can_mount() -> bool:
    """Whether we may mount a file system here."""
    if os.geteuid() != 0:
        return False
    where = Path(os.devnull).parent / "shm"
    done = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", where],
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


DISKS = [limited_files, *([small_file_system] if can_mount() else [])]
