"""Who is alive: each process holds a lock on a file of its own beside the database.

The kernel lets go of the lock when the process dies, however it dies; no clock is involved.
"""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from store.ids import new_id

_PREFIX = "own_"
_SUFFIX = ".lock"


class Owner:
    """This process among those that use the database. Blocks: call in a thread."""

    def __init__(self, beside: Path) -> None:
        """Claim a new id. Raises `OSError` where the directory cannot be written."""
        self._beside = beside
        self.id = new_id(_PREFIX)
        self._descriptor = self._claim()

    def path_of(self, owner: str, suffix: str) -> Path:
        """The file of `owner` with that suffix: `<database>-<owner><suffix>`."""
        return self._beside.with_name(f"{self._beside.name}-{owner}{suffix}")

    def is_alive(self, owner: str) -> bool:
        """Whether a process holds the lock of `owner`. Removes the lock file of a dead one."""
        path = self.path_of(owner, _SUFFIX)
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
        for owner in owners_with(self._beside, _SUFFIX):
            self.is_alive(owner)

    def release(self) -> None:
        """Leave: this owner is dead from here on."""
        self.path_of(self.id, _SUFFIX).unlink(missing_ok=True)
        os.close(self._descriptor)

    def _claim(self) -> int:
        """Lock the file before it gets its name, so that nobody ever sees it unlocked."""
        path = self.path_of(self.id, _SUFFIX)
        unnamed = path.with_suffix(".new")
        descriptor = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        unnamed.rename(path)
        return descriptor


def try_lock(descriptor: int) -> bool:
    """Lock an open file if nobody else has."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def owners_with(beside: Path, suffix: str) -> Iterator[str]:
    """The owners that have a file with that suffix beside the database."""
    start = f"{beside.name}-"
    for path in beside.parent.iterdir():
        name = path.name
        if name.startswith(start + _PREFIX) and name.endswith(suffix):
            yield name.removeprefix(start).removesuffix(suffix)
