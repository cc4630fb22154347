"""Spool: a file next to the database that takes final records while the database cannot.

The file is allocated in advance so that it takes records even when the disk is full, and each
record is synced before `append` returns. The process that writes the file holds a lock on it; a
spool without a lock belongs to a dead process.
"""

import os
import threading
from pathlib import Path

from store.ownership.file_locks import try_lock
from store.records.private_files import private
from store.records.turn_records import SpoolFailed
from store.spool import framing

SUFFIX = ".spool"
REFUSED_SUFFIX = ".spool-refused"
_STEP_BYTES = 4 * 1024 * 1024
_MIN_BYTES = 64 * 1024
_READ_BYTES = 4 * 1024 * 1024
_READ_OVERHEAD_BYTES = 16 * 1024
"""Estimated overhead of a record in memory; it limits one read to 256 records."""


class Spool:
    """An open and locked spool file. Its methods block and may be called from any thread."""

    def __init__(self, path: Path, descriptor: int, limit_bytes: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._limit = limit_bytes
        self._size = os.fstat(descriptor).st_size
        self._lock = threading.Lock()
        self._sync_lock = threading.Lock()
        self._number = 0
        self._end = 0
        self._synced = 0
        self._read_to = 0
        self._last_read: int | None = None
        self.records = 0
        """Number of records written by this process that are not in the database yet."""

    @classmethod
    def create(cls, path: Path, limit_bytes: int) -> "Spool":
        """Allocate a new spool, smaller than usual if the disk has little space.

        Raises `OSError` if not even 64 KiB can be allocated.
        """
        # Lock the file before it gets its name: an unlocked spool counts as a dead process's.
        unnamed = path.with_name(path.name + ".new")
        descriptor = private(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        try:
            try_lock(descriptor)
            _allocate_some(descriptor, min(limit_bytes, _STEP_BYTES))
            unnamed.rename(path)
        except OSError:
            unnamed.unlink(missing_ok=True)
            os.close(descriptor)
            raise
        return cls(path, descriptor, limit_bytes)

    @classmethod
    def adopt(cls, path: Path) -> "Spool | None":
        """Open the spool of a dead process; None if the process is alive or the file is gone."""
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return None
        if not try_lock(descriptor) or os.fstat(descriptor).st_nlink == 0:
            os.close(descriptor)
            return None
        return cls(path, descriptor, 0)

    @property
    def bytes_used(self) -> int:
        """Size in bytes of the records that are not in the database yet."""
        return self._end

    def append(self, payload: bytes) -> None:
        """Write and sync a record; raises `SpoolFailed`."""
        try:
            end = self._write(payload)
            self._sync(end)
        except OSError as error:
            raise SpoolFailed(f"{self.path}: {error.strerror}") from error

    def read(self) -> list[bytes]:
        """Read the next records after the last read, about 4 MiB; `[]` at the end."""
        found: list[bytes] = []
        room = _READ_BYTES
        while room > 0 and (payload := self._next()) is not None:
            found.append(payload)
            room -= len(payload) + _READ_OVERHEAD_BYTES
        return found

    def rewind(self) -> None:
        """Make the next read begin with the first record again."""
        self._read_to, self._last_read = 0, None

    def clear(self) -> bool:
        """Remove all records if all have been read; return False if there are unread ones.

        Their content is overwritten, because the file stays while a client may delete the same
        content from the database.
        """
        with self._lock:
            if self._read_to < self._end:
                return False
            used = self._end
            # From this sync on the spool is empty, even after a crash.
            os.pwrite(self._descriptor, framing.END, 0)
            _datasync(self._descriptor)
            self._end = self._synced = self.records = 0
            self.rewind()
            for offset in range(0, used, _STEP_BYTES):
                _write_all(self._descriptor, bytes(min(_STEP_BYTES, used - offset)), offset)
        return True

    def set_aside(self, payload: bytes) -> None:
        """Append a record that the database refuses to a separate file, for the operator."""
        with open(self.path.with_suffix(REFUSED_SUFFIX), "ab", opener=private) as file:
            file.write(framing.encode(1, payload))
            file.flush()
            os.fsync(file.fileno())

    def close(self, *, remove: bool) -> None:
        """Close the file, and delete it if `remove` is true."""
        # Both locks are needed: a thread whose append was abandoned could otherwise write to
        # the next file that gets this descriptor.
        with self._lock, self._sync_lock:
            if remove:
                self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, payload: bytes) -> int:
        with self._lock:
            frame = framing.encode(self._number + 1, payload)
            # The next frame overwrites the end mark.
            data = frame + framing.END
            self._reserve(self._end + len(data))
            _write_all(self._descriptor, data, self._end)
            self._number += 1
            self._end += len(frame)
            self.records += 1
            return self._end

    def _sync(self, end: int) -> None:
        """Sync up to `end`, unless another thread's sync already included it."""
        with self._sync_lock:
            if self._synced >= end:
                return
            written = self._end
            _datasync(self._descriptor)
            self._synced = written

    def _reserve(self, needed: int) -> None:
        if needed <= self._size:
            return
        if needed > self._limit:
            raise SpoolFailed(f"{self.path}: the spool is full ({self._limit} bytes)")
        wanted = min(self._limit, -(-needed // _STEP_BYTES) * _STEP_BYTES)
        try:
            _allocate(self._descriptor, wanted)
        except OSError:
            # The disk has no room for a whole step, but may have some for this record.
            _allocate(self._descriptor, needed)
        self._size = os.fstat(self._descriptor).st_size

    def _next(self) -> bytes | None:
        offset = self._read_to
        size = framing.size_of(os.pread(self._descriptor, framing.HEAD_SIZE, offset))
        if offset + size > self._size:
            return None
        expected = None if self._last_read is None else self._last_read + 1
        frame = framing.decode(os.pread(self._descriptor, size, offset), expected)
        if frame is None:
            return None
        self._last_read, payload = frame
        self._read_to = offset + size
        return payload


def _allocate_some(descriptor: int, wanted: int) -> None:
    """Allocate `wanted` bytes, or a quarter of that, and so on down to 64 KiB."""
    while True:
        try:
            return _allocate(descriptor, wanted)
        except OSError:
            if wanted <= _MIN_BYTES:
                raise
            wanted = max(_MIN_BYTES, wanted // 4)


def _allocate(descriptor: int, size: int) -> None:
    """Extend the file to `size` bytes and reserve its blocks."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:  # macOS does not have posix_fallocate
        start = os.fstat(descriptor).st_size
        _write_all(descriptor, bytes(size - start), start)


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[written:], offset + written


def _datasync(descriptor: int) -> None:
    getattr(os, "fdatasync", os.fsync)(descriptor)
