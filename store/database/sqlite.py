"""SQLite backend. No other module of `store` depends on SQLite."""

import errno
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, Insert, Select, Table, create_engine, event
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from store.database.backend import StoreRefused
from store.database.settings import StoreSettings
from store.records.private_files import private

_CHECK_WHOLE_BYTES = 8 * 1024 * 1024
"""Largest database that start-up checks page by page; at this size the check takes 20 ms."""
_WAL_KEPT_BYTES = 64 * 1024 * 1024
_RETRY_S = 0.05

_DAMAGED = "the database file is damaged"
_BUSY = "stop the process that holds it, then start again"
_RESTORE = "restore a backup, or move the file away to start with an empty one"
_ALLOW = "let this user write the file and its directory"
_LOOK = "look at the disk"

# Primary result codes (https://www.sqlite.org/rescode.html) that are not the caller's fault, with
# the problem and the remedy.
_UNAVAILABLE = {
    sqlite3.SQLITE_BUSY: ("another process holds a lock on the database", _BUSY),
    sqlite3.SQLITE_LOCKED: ("another connection holds a lock on the database", _BUSY),
    sqlite3.SQLITE_PROTOCOL: ("another process holds a lock on the database", _BUSY),
    sqlite3.SQLITE_FULL: ("the disk is full", "free some space, then start again"),
    sqlite3.SQLITE_IOERR: ("the disk fails to read or write", _LOOK),
    sqlite3.SQLITE_READONLY: ("the database cannot be written", _ALLOW),
    sqlite3.SQLITE_CANTOPEN: ("the database cannot be opened", _ALLOW),
    sqlite3.SQLITE_PERM: ("the database may not be accessed", _ALLOW),
    sqlite3.SQLITE_AUTH: ("the database may not be accessed", _LOOK),
    sqlite3.SQLITE_NOMEM: ("the database ran out of memory", _LOOK),
    sqlite3.SQLITE_CORRUPT: (_DAMAGED, _RESTORE),
    sqlite3.SQLITE_NOTADB: (_DAMAGED, _RESTORE),
}

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)


class _Misplaced(Exception):
    """The open file is not the file at the database's path."""


class SQLite:
    """A database in one file, with a write-ahead log next to it."""

    def __init__(self, url: URL, settings: StoreSettings) -> None:
        self._settings = settings
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self.base_path = self._path(url.database)
        self._identity: tuple[int, int] | None = None

    def _path(self, database: str | None) -> Path:
        if database in (None, "", ":memory:"):
            self._temporary = tempfile.TemporaryDirectory(prefix="trouper-")
            return Path(self._temporary.name, "trouper.db")
        if database.startswith("file:"):
            # `base_path` must be a plain path: the spool and the lock files derive from it.
            raise StoreRefused(f"store.url: {database!r} is a URI; give a path instead")
        path = Path(database).absolute()
        if not path.parent.is_dir():
            raise StoreRefused(f"{path.parent}: no such directory; create it, or change store.url")
        return path

    def engine(self) -> Engine:
        """Create an engine whose connections may be used from any thread, one at a time."""
        engine = create_engine(
            URL.create("sqlite", database=str(self.base_path)),
            # Transactions are begun explicitly (`begin`, `_begin`): the driver would begin them
            # too late, and never before DDL.
            connect_args={
                "isolation_level": None,
                "check_same_thread": False,
                "timeout": self._settings.busy_timeout_ms / 1000,
            },
            pool_size=self._settings.readers + 2,
            max_overflow=0,
        )
        event.listen(engine, "connect", self._prepare)
        event.listen(engine, "begin", self._begin)
        return engine

    def _prepare(self, connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        self._check_in_place()
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA synchronous={self._settings.synchronous}")
        cursor.execute("PRAGMA foreign_keys=ON")
        # Overwrite deleted content; only some builds of SQLite do so by default.
        cursor.execute("PRAGMA secure_delete=ON")
        cursor.execute(f"PRAGMA journal_size_limit={_WAL_KEPT_BYTES}")
        cursor.close()

    def check(self, engine: Engine) -> None:
        """Create or check the file, switch it to a write-ahead log, and try to write."""
        self._create()
        connection = engine.raw_connection()
        try:
            cursor = connection.cursor()
            self._when_unlocked(lambda: self._check_file(cursor))
            self._when_unlocked(lambda: cursor.execute("PRAGMA journal_mode=WAL"))
            self._when_unlocked(lambda: cursor.execute("BEGIN IMMEDIATE"))
            # BEGIN IMMEDIATE alone succeeds on a read-only file.
            cursor.execute("PRAGMA user_version=0")
            connection.rollback()
        finally:
            connection.close()
        self._identity = self._identity_now()

    def _create(self) -> None:
        """Create an empty file with mode 0600 unless there is one.

        SQLite would apply the umask. It gives the write-ahead log and the shared memory the mode
        of the database (https://www.sqlite.org/src/file/src/os_unix.c, `findCreateFileMode`).
        """
        with suppress(OSError):  # if the file exists; SQLite reports any other problem
            # O_EXCL does not follow a symbolic link to a file that does not exist yet.
            path = self.base_path.resolve()
            os.close(private(path, os.O_RDWR | os.O_CREAT | os.O_EXCL))

    def _identity_now(self) -> tuple[int, int] | None:
        try:
            found = self.base_path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _check_in_place(self) -> None:
        """Raise if the database's path no longer names the open file.

        SQLite itself continues to write to a deleted file.
        """
        if self._identity is not None and self._identity_now() != self._identity:
            raise _Misplaced

    def _check_file(self, cursor: DBAPICursor) -> None:
        cursor.execute("SELECT count(*) FROM sqlite_master")
        if self.base_path.stat().st_size > _CHECK_WHOLE_BYTES:
            return
        cursor.execute("PRAGMA quick_check(1)")
        if cursor.fetchone() != ("ok",):
            raise StoreRefused(f"{self.base_path}: {_DAMAGED}; {_RESTORE}")

    def _when_unlocked(self, action: Callable[[], object]) -> None:
        """Retry `action` while the database is locked, for `start_wait_s`.

        The busy timeout is not enough: SQLite does not apply it to every lock.
        """
        deadline = time.monotonic() + self._settings.start_wait_s
        while True:
            try:
                action()
            except sqlite3.Error as error:
                if _code(error) not in _LOCKED or time.monotonic() > deadline:
                    raise
                time.sleep(_RETRY_S)
            else:
                return

    def lock_schema(self, connection: Connection) -> None:
        """Make the next transaction take the write lock when it begins."""
        connection.execution_options(sqlite_begin="BEGIN IMMEDIATE")

    def _begin(self, connection: Connection) -> None:
        self._check_in_place()
        connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))

    def begin(self, cursor: DBAPICursor) -> None:
        """Begin a transaction and take the write lock, so that no later statement waits for it."""
        self._check_in_place()
        cursor.execute("BEGIN IMMEDIATE")

    def set_lock_timeout(self, cursor: DBAPICursor, seconds: float) -> None:
        """Set the busy timeout."""
        cursor.execute(f"PRAGMA busy_timeout={int(seconds * 1000)}")

    def unavailable_reason(self, error: BaseException) -> str | None:
        """Return the reason for the error's primary result code, or None."""
        if isinstance(error, _Misplaced):
            return "the database file was deleted or replaced; put it back, or start again"
        found = _UNAVAILABLE.get(_code(error))
        return None if found is None else found[0]

    def opening_error(self, error: BaseException) -> str | None:
        """Return one line with the file, the problem and the remedy, or None."""
        if isinstance(error, OSError):
            advice = "free some space" if error.errno in _NO_SPACE else "let this user write there"
            return f"{self.base_path.parent}: {error.strerror}; {advice}, or change store.url"
        found = _UNAVAILABLE.get(_code(error))
        return None if found is None else f"{self.base_path}: {found[0]}; {found[1]}"

    def insert_or_extend(self, table: Table, rows: Select[*tuple[object, ...]] | None) -> Insert:
        """Build an insert that replaces a shorter segment beginning at the same event."""
        base = insert(table) if rows is None else insert(table).from_select(table.c.keys(), rows)
        return base.on_conflict_do_update(
            index_elements=[table.c.turn_id, table.c.first_seq],
            set_={"last_seq": base.excluded.last_seq, "blob": base.excluded.blob},
            where=base.excluded.last_seq > table.c.last_seq,
        )

    def sync_to_disk(self) -> None:
        """Sync the write-ahead log, which a commit with `synchronous=NORMAL` does not.

        The database file itself is not opened, because closing it would drop this process's locks
        (https://www.sqlite.org/howtocorrupt.html, section 2.2). Pages that a checkpoint moved
        from the log to the file were synced by SQLite.
        """
        try:
            descriptor = os.open(f"{self.base_path}-wal", os.O_RDWR)
        except FileNotFoundError:
            return
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def compact(self, cursor: DBAPICursor) -> None:
        """Move the write-ahead log into the database file."""
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def remove(self) -> None:
        """Delete the temporary directory of a database without a path."""
        if self._temporary is not None:
            self._temporary.cleanup()


def _code(error: BaseException) -> int:
    """Return SQLite's primary result code, or 0 if the error does not come from SQLite."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    code: int = getattr(cause, "sqlite_errorcode", 0)
    return code & 0xFF
