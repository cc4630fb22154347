"""Statements that SQLAlchemy compiles once and the driver then executes directly.

Running them through `Connection.execute` would cost several times what SQLite needs for the row,
in a thread that competes with the event loop for the interpreter.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import cast

from sqlalchemy import ClauseElement, Dialect
from sqlalchemy.engine.interfaces import DBAPICursor

Values = Mapping[str, object]
Bound = Sequence[object] | Values


class PreparedStatement:
    """One statement with named parameters, compiled for one dialect."""

    def __init__(self, statement: ClauseElement, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self.text = str(compiled)
        self._bound = _binder(getattr(compiled, "positiontup", None))

    def run(self, cursor: DBAPICursor, values: Values) -> int:
        """Execute the statement once and return the number of affected rows."""
        cursor.execute(self.text, self._bound(values))
        return cursor.rowcount

    def run_many(self, cursor: DBAPICursor, rows: Iterable[Values]) -> int:
        """Execute the statement for each of `rows` and return the number of affected rows."""
        bound = [self._bound(row) for row in rows]
        if not bound:
            return 0
        cursor.executemany(self.text, cast("Sequence[Values]", bound))
        return cursor.rowcount

    def first(self, cursor: DBAPICursor, values: Values) -> Sequence[object] | None:
        """Execute the statement and return its first row, or None."""
        cursor.execute(self.text, self._bound(values))
        row: Sequence[object] | None = cursor.fetchone()
        return row


def _binder(names: Sequence[str] | None) -> Callable[[Values], Bound]:
    """Return a function that converts named values to the driver's parameter style."""
    if names is None:
        return lambda values: values
    # `itemgetter` of a single name returns the value, not a sequence; of none it fails.
    if len(names) < 2:
        return lambda values: [values[name] for name in names]
    return itemgetter(*names)


Prepare = Callable[[ClauseElement], PreparedStatement]
"""Compiles a statement for the database in use."""
