"""Backend interface: the database-specific operations that the store needs beyond common SQL."""

from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine, Insert, Select, Table
from sqlalchemy.engine.interfaces import DBAPICursor


class StoreRefused(Exception):
    """The store cannot be opened. The message is one line: the place, the problem, the remedy."""


class Backend(Protocol):
    """A database product and everything that is specific to it."""

    @property
    def base_path(self) -> Path:
        """The path to which local files (spool, owner locks) append their suffix."""

    def engine(self) -> Engine:
        """Create the engine without connecting."""

    def check(self, engine: Engine) -> None:
        """Check that the database can be read and written; raises the driver's errors."""

    def lock_schema(self, connection: Connection) -> None:
        """Make the next transaction on `connection` keep other processes from migrating."""

    def begin(self, cursor: DBAPICursor) -> None:
        """Begin a write transaction."""

    def set_lock_timeout(self, cursor: DBAPICursor, seconds: float) -> None:
        """Limit how long a statement waits for another process's lock."""

    def unavailable_reason(self, error: BaseException) -> str | None:
        """Return why the database is unavailable, or None if the error is the caller's fault."""

    def opening_error(self, error: BaseException) -> str | None:
        """Return one line that says why the store cannot be opened and how to fix it.

        None if the error does not come from the database or the file system.
        """

    def insert_or_extend(self, table: Table, rows: Select[*tuple[object, ...]] | None) -> Insert:
        """Build an upsert of segments that never replaces a longer segment by a shorter one.

        The values come from the query `rows`, which selects all columns in the order of the
        table, or from parameters if `rows` is None.
        """

    def sync_to_disk(self) -> None:
        """Make all commits so far survive a crash of the machine; raises `OSError`."""

    def compact(self, cursor: DBAPICursor) -> None:
        """Compact the database before it is closed."""

    def remove(self) -> None:
        """Delete the database if it was temporary; otherwise do nothing."""
