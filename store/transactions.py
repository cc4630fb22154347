"""The writing connection: whole transactions, and what becomes of it when one fails."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Engine, PoolProxiedConnection
from sqlalchemy.engine.interfaces import DBAPICursor

from store.backend import Backend
from store.records import StoreUnavailable

T = TypeVar("T")

_FAILING_PATIENCE_S = 0.1
_LOST = "the connection to the database is lost"


class Transactions:
    """Runs one transaction after another on a connection that mends itself. For one thread.

    A transaction waits `patience_s` for another process's lock. Once that was in vain, the next
    ones wait only a tenth of a second, until one succeeds: so that what queues behind a lock
    fails fast, and every try is also the probe that finds the lock gone.
    """

    def __init__(self, engine: Engine, backend: Backend, patience_s: float) -> None:
        self._engine = engine
        self._backend = backend
        self._patience_s = patience_s
        self._connection: PoolProxiedConnection | None = None
        self.failure: str | None = None
        """Why the last transaction found the store unavailable; None where it did not."""
        self.commits = 0
        """How many transactions were committed."""

    def run(self, steps: Callable[[DBAPICursor], T]) -> T:
        """Commit `steps` as one transaction.

        Raises `StoreUnavailable` where the database is at fault, else what `steps` raised;
        either way nothing of it was written.
        """
        try:
            result = self._attempt(steps)
        except BaseException as error:
            lost = not self._undo()
            reason = self._backend.trouble(error) or (_LOST if lost else None)
            if reason is None:
                raise
            self._note(reason)
            raise StoreUnavailable(reason) from error  # noqa: ASYNC104 (in a thread)
        self.commits += 1
        self._note(None)
        return result

    def close(self) -> None:
        """Tidy up and give the connection back; harmless when the database is away."""
        try:
            if self._connection is not None:
                self._backend.tidy(self._connection.cursor())
        except Exception as error:
            if self._backend.trouble(error) is None:
                raise
        finally:
            self._drop()

    def _attempt(self, steps: Callable[[DBAPICursor], T]) -> T:
        if self._connection is None:
            self._connection = self._engine.raw_connection()
            self._set_patience()
        cursor = self._connection.cursor()
        try:
            self._backend.begin(cursor)
            result = steps(cursor)
            self._connection.commit()
        finally:
            cursor.close()
        return result

    def _undo(self) -> bool:
        """Roll back; False where the connection cannot even do that, and is given up."""
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
            self._set_patience()

    def _set_patience(self) -> None:
        if self._connection is not None:
            cursor = self._connection.cursor()
            patience = self._patience_s if self.failure is None else _FAILING_PATIENCE_S
            self._backend.set_patience(cursor, patience)
            cursor.close()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
