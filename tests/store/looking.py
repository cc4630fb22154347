"""What a test sees of a database: the statements that reach it, their plans, and its rows."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, event

from store.engine import backend_for, open_engine
from store.settings import StoreSettings

Asked = tuple[str, tuple[object, ...]]


def asked_by(settings: StoreSettings, read: Callable[[Connection], object]) -> Asked:
    """The one statement, with its parameters, by which `read` reads."""
    engine = open_engine(backend_for(settings), settings)
    asked: list[Asked] = []
    event.listen(
        engine,
        "before_cursor_execute",
        lambda _c, _cursor, text, parameters, _context, _many: asked.append((text, parameters)),
    )
    with engine.connect() as connection:
        read(connection)
    engine.dispose()
    (only,) = [(text, values) for text, values in asked if text != "BEGIN"]
    return only


def plan(database: Path, asked: Asked) -> list[str]:
    """The steps by which SQLite finds the rows of a statement."""
    text, parameters = asked
    with closing(sqlite3.connect(database)) as connection:
        return [row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + text, parameters)]


def steps_taken(database: Path, asked: Asked) -> int:
    """How many instructions SQLite carries out for a statement: its cost, without a clock."""
    text, parameters = asked
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
    """All rows of a table, in the order of their first columns."""
    with closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3")  # noqa: S608
        return [dict(row) for row in found]


@contextmanager
def failing_writes(
    database: Path, table: str, on: Literal["INSERT", "DELETE"] = "INSERT"
) -> Iterator[None]:
    """Meanwhile the database refuses that of every row of the table."""
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
