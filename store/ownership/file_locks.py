"""Ownership by lock files: each process locks its own file next to the database.

The kernel releases the lock when the process dies in any way, so no clock is involved.
"""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from store.records.ids import new_id
from store.records.private_files import private

_PREFIX = "own_"
_SUFFIX = ".lock"


class FileLocks:
    """The owner ids of the processes of one machine. Implements `Ownership`."""

    def __init__(self, base_path: Path) -> None:
        """Claim a new id. Raises `OSError` if the directory is not writable."""
        self._base_path = base_path
        self.id = new_id(_PREFIX)
        self._descriptor = self._claim()

    def is_alive(self, owner: str) -> bool:
        """Return whether a process holds the lock of `owner`; remove the file of a dead one."""
        path = owner_file(self._base_path, owner, _SUFFIX)
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            if not try_lock(descriptor):
                return True
            path.unlink(missing_ok=True)
            return False
        finally:
            os.close(descriptor)

    def remove_stale(self) -> None:
        """Remove the lock files of dead owners."""
        for owner in owners_with(self._base_path, _SUFFIX):
            self.is_alive(owner)

    def release(self) -> None:
        """Give up the lock, so that other processes consider this owner dead."""
        owner_file(self._base_path, self.id, _SUFFIX).unlink(missing_ok=True)
        os.close(self._descriptor)

    def _claim(self) -> int:
        """Lock the file before renaming it, so that no process ever sees it unlocked."""
        path = owner_file(self._base_path, self.id, _SUFFIX)
        unnamed = path.with_suffix(".new")
        descriptor = private(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        unnamed.rename(path)
        return descriptor


def try_lock(descriptor: int) -> bool:
    """Lock an open file. Return False if another process holds the lock."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def owner_file(base_path: Path, owner: str, suffix: str) -> Path:
    """Return the path of an owner's file: `<database>-<owner><suffix>`."""
    return base_path.with_name(f"{base_path.name}-{owner}{suffix}")


def owners_with(base_path: Path, suffix: str) -> Iterator[str]:
    """Yield the ids of owners that have a file with this suffix next to the database."""
    start = f"{base_path.name}-"
    for path in base_path.parent.iterdir():
        name = path.name
        if name.startswith(start + _PREFIX) and name.endswith(suffix):
            yield name.removeprefix(start).removesuffix(suffix)
