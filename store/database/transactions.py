"""Runs transactions on the writer's connection and replaces the connection when it is lost."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Engine, PoolProxiedConnection
from sqlalchemy.engine.interfaces import DBAPICursor

from store.database.backend import Backend
from store.records.turn_records import StoreUnavailable

T = TypeVar("T")

_FAILING_LOCK_TIMEOUT_S = 0.1
_LOST = "the connection to the database is lost"


class Transactions:
    """A runner of consecutive transactions on one connection. For use by one thread.

    A transaction waits `lock_timeout_s` for another process's lock. After a timeout the next ones
    wait only 0.1 s until one succeeds. Requests queued behind a lock thus fail fast, and each
    attempt also tests if the lock is gone.
    """

    def __init__(self, engine: Engine, backend: Backend, lock_timeout_s: float) -> None:
        self._engine = engine
        self._backend = backend
        self._lock_timeout_s = lock_timeout_s
        self._connection: PoolProxiedConnection | None = None
        self.failure: str | None = None
        """Reason why the last transaction found the store unavailable; None if it did not."""
        self.commits = 0
        """Number of committed transactions."""

    def run(self, steps: Callable[[DBAPICursor], T]) -> T:
        """Commit `steps` as one transaction and return their result.

        Raises `StoreUnavailable` if the database is at fault, otherwise the exception of `steps`.
        Nothing is written in either case.
        """
        try:
            result = self._attempt(steps)
        except BaseException as error:
            lost = not self._undo()
            reason = self._backend.unavailable_reason(error) or (_LOST if lost else None)
            if reason is None:
                raise
            self._note(reason)
            raise StoreUnavailable(reason) from error  # noqa: ASYNC104 (in a thread)
        self.commits += 1
        self._note(None)
        return result

    def close(self) -> None:
        """Compact the database and close the connection, even if the database is unavailable."""
        try:
            if self._connection is not None:
                self._backend.compact(self._connection.cursor())
        except Exception as error:
            if self._backend.unavailable_reason(error) is None:
                raise
        finally:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _attempt(self, steps: Callable[[DBAPICursor], T]) -> T:
        if self._connection is None:
            self._connection = self._engine.raw_connection()
            self._set_lock_timeout()
        cursor = self._connection.cursor()
        try:
            self._backend.begin(cursor)
            result = steps(cursor)
            self._connection.commit()
        finally:
            cursor.close()
        return result

    def _undo(self) -> bool:
        """Roll back. If that fails too, drop the connection and return False."""
        if self._connection is None:
            return True
        try:
            self._connection.rollback()
        except Exception:
            self._connection.invalidate()
            self._connection = None
            return False
        return True

    def _note(self, failure: str | None) -> None:
        changed = (failure is None) is not (self.failure is None)
        self.failure = failure
        if changed:
            self._set_lock_timeout()

    def _set_lock_timeout(self) -> None:
        if self._connection is not None:
            cursor = self._connection.cursor()
            lock_timeout = self._lock_timeout_s if self.failure is None else _FAILING_LOCK_TIMEOUT_S
            self._backend.set_lock_timeout(cursor, lock_timeout)
            cursor.close()
