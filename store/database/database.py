"""The open database: one thread that writes, a few that read, and the base of repositories."""

from collections.abc import Callable, Coroutine, Sequence
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import trio
from sqlalchemy import ClauseElement, Connection, Engine, bindparam, delete, insert
from sqlalchemy.engine.interfaces import DBAPICursor

from store.database.backend import Backend
from store.database.engine import in_thread
from store.database.group_commit import GroupCommitWriter, Priority, Work
from store.database.prepared_statements import PreparedStatement
from store.database.settings import StoreSettings
from store.database.tables import tenants
from store.database.transactions import Transactions
from store.records.turn_records import StoreUnavailable

P = ParamSpec("P")
R = TypeVar("R")

_PROBE_ROW = {"id": "tenant_probe", "name": "probe", "created_at": 0.0}


class Database:
    """The writer and the readers that all repositories share."""

    def __init__(self, engine: Engine, backend: Backend, settings: StoreSettings) -> None:
        self._engine = engine
        self.backend = backend
        self.transactions = Transactions(engine, backend, settings.busy_timeout_ms / 1000)
        self.writer = GroupCommitWriter(
            self.transactions, queue_size=settings.queue_size, batch_size=settings.batch_size
        )
        self._readers = trio.CapacityLimiter(settings.readers)
        self._insert_probe = self.prepare(insert(tenants))
        self._delete_probe = self.prepare(delete(tenants).where(tenants.c.id == bindparam("id")))
        self._probe = Work("probe", Priority.MAINTAIN, self._run_probes)

    def prepare(self, statement: ClauseElement) -> PreparedStatement:
        """Compile a statement for the writer's thread."""
        return PreparedStatement(statement, self._engine.dialect)

    async def read(self, query: Callable[[Connection], R]) -> R:
        """Run a query in a reader thread; raises `StoreUnavailable`."""

        def run() -> R:
            with self._engine.connect() as connection:
                return query(connection)

        try:
            return await in_thread(run, self._readers)
        except Exception as error:
            reason = self.backend.unavailable_reason(error)
            if reason is None:
                raise
            raise StoreUnavailable(reason) from error

    async def probe(self) -> None:
        """Check that the database can be written; raises `StoreUnavailable`."""
        await self.writer.submit(self._probe, None)

    def _run_probes(self, cursor: DBAPICursor, requests: Sequence[None]) -> Sequence[None]:
        """Insert a row and delete it again.

        An update that changes nothing would not write, and so would not test the disk.
        """
        self._insert_probe.run(cursor, _PROBE_ROW)
        self._delete_probe.run(cursor, _PROBE_ROW)
        return requests


class Repository:
    """The queries and writes of one family of rows."""

    def __init__(self, database: Database) -> None:
        self.database = database


def query(
    read: Callable[Concatenate[Connection, P], R],
) -> Callable[Concatenate[Repository, P], Coroutine[object, object, R]]:
    """Return a method of a repository that runs `read` in a reader thread."""

    @wraps(read)
    async def method(self: Repository, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self.database.read(lambda connection: read(connection, *args, **kwargs))

    return method
