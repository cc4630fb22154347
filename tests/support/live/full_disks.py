"""File systems that run out of space on demand and recover."""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tests.support.live.harness import Server

SIZE = 12 * 2**20
FIRST_PAGES = 4 * 4096


class Disk(Protocol):
    """A file system for a server's files that can be filled up."""

    directory: Path
    stored_comments: frozenset[bytes]
    """Comments in streams about where their records are stored while the disk is full."""

    def fill(self, server: Server) -> None:
        """Make further writes fail."""

    def free(self, server: Server) -> None:
        """Make space again."""


class SmallFileSystem:
    """A file system of 12 MiB that is filled up by writing a file."""

    stored_comments = frozenset({b": stored spooled"})

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def fill(self, server: Server) -> None:
        """Write until the kernel reports ENOSPC."""
        with (self.directory / "filler").open("wb", buffering=0) as filler:
            for size in (2**20, 2**12, 1):
                try:
                    while filler.write(bytes(size)):
                        pass
                except OSError:
                    continue

    def free(self, server: Server) -> None:
        """Remove the file."""
        (self.directory / "filler").unlink()


class LimitedFiles:
    """A limit on the size of the server's files (`RLIMIT_FSIZE`), to their first pages.

    The limit applies to the spool too, so that it takes only a few records.
    """

    stored_comments = frozenset({b": stored spooled", b": stored unsaved"})

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def fill(self, server: Server) -> None:
        """Set the limit on the running server."""
        self._limit(server, FIRST_PAGES)

    def free(self, server: Server) -> None:
        """Lift the limit."""
        self._limit(server, resource.RLIM_INFINITY)

    def _limit(self, server: Server, size: int) -> None:
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@contextmanager
def small_file_system(directory: Path) -> Iterator[Disk]:
    """Mount a small tmpfs, which needs root."""
    mount = directory / "disk"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", mount], check=True)
    try:
        yield SmallFileSystem(mount)
    finally:
        subprocess.run(["umount", "--lazy", mount], check=True)


@contextmanager
def limited_files(directory: Path) -> Iterator[Disk]:
    """Return the disk whose limit needs neither privileges nor preparation."""
    yield LimitedFiles(directory)


def can_mount() -> bool:
    """Return True if this process may mount a file system."""
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
