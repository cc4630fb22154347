"""What the store needs of a kind of database, beyond the SQL that all of them have."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine, Insert, Select, Table
from sqlalchemy.engine.interfaces import DBAPICursor


class StoreRefused(Exception):
    """The store cannot be opened. One line: what is wrong, where, and what to do."""


class Backend(Protocol):
    """A kind of database, and all that is peculiar to it."""

    @property
    def beside(self) -> Path:
        """The path that this machine's own files (spool, owner locks) extend by a suffix."""

    def engine(self) -> Engine:
        """Make the engine; connects nowhere yet."""

    def check(self, engine: Engine) -> None:
        """Make sure that the database can be read and written; raises its driver's errors."""

    def lock_schema(self, connection: Connection) -> None:
        """Begin a transaction that keeps other processes from migrating."""

    def begin(self, cursor: DBAPICursor) -> None:
        """Begin a transaction that will write."""

    def set_patience(self, cursor: DBAPICursor, seconds: float) -> None:
        """Bound how long a statement waits for other processes' locks."""

    def trouble(self, error: BaseException) -> str | None:
        """Say why the database is unavailable; None where the caller is at fault."""

    def refusal(self, error: BaseException) -> str | None:
        """Say in one line why the store cannot be opened, and what to do about it."""

    def insert_or_extend(
        self, table: Table, columns: Sequence[str], rows: Select[*tuple[object, ...]] | None
    ) -> Insert:
        """Insert a segment, from `rows` or from parameters, unless a longer one stands there."""

    def settle(self) -> None:
        """Make what is committed survive the death of the machine; raises `OSError`."""

    def tidy(self, cursor: DBAPICursor) -> None:
        """Leave the database as small and whole as it can be, at the end."""

    def remove(self) -> None:
        """Delete a database that was only meant for this process."""
