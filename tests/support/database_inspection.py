"""Inspection of a database in tests: executed statements, query plans and rows."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, event

from store.database.engine import backend_for, open_engine
from store.database.settings import StoreSettings

Statement = tuple[str, tuple[object, ...]]
"""The text of a statement and its parameters."""


def captured_statement(settings: StoreSettings, read: Callable[[Connection], object]) -> Statement:
    """Return the one statement that `read` executes."""
    engine = open_engine(backend_for(settings))
    executed: list[Statement] = []
    event.listen(
        engine,
        "before_cursor_execute",
        lambda _c, _cursor, text, parameters, _context, _many: executed.append((text, parameters)),
    )
    with engine.connect() as connection:
        read(connection)
    engine.dispose()
    (only,) = [(text, values) for text, values in executed if text != "BEGIN"]
    return only


def plan(database: Path, statement: Statement) -> list[str]:
    """Return the steps of SQLite's query plan."""
    text, parameters = statement
    with closing(sqlite3.connect(database)) as connection:
        return [row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + text, parameters)]


def steps_taken(database: Path, statement: Statement) -> int:
    """Return the number of instructions that SQLite executes: the cost, without a clock."""
    text, parameters = statement
    taken = 0

    def count() -> int:
        nonlocal taken
        taken += 1
        return 0

    with closing(sqlite3.connect(database)) as connection:
        connection.set_progress_handler(count, 1)
        connection.execute(text, parameters).fetchall()
    return taken


def rows(database: Path, table: str) -> list[dict[str, object]]:
    """Return all rows of a table, ordered by their first columns."""
    with closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3")  # noqa: S608
        return [dict(row) for row in found]


@contextmanager
def failing_writes(
    database: Path, table: str, on: Literal["INSERT", "DELETE"] = "INSERT"
) -> Iterator[None]:
    """Make the database refuse to insert or delete rows of the table."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(
            f"CREATE TRIGGER refuse BEFORE {on} ON {table}"
            " BEGIN SELECT RAISE(ABORT, 'refused by the test'); END"
        )
        connection.commit()
        try:
            yield
        finally:
            connection.execute("DROP TRIGGER refuse")
            connection.commit()
