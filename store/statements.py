"""Statements built once and then spoken straight to the driver.

SQLAlchemy builds the text, for whatever database; running it through `Connection.execute`
would cost several times what SQLite needs for the row, in a thread that contends with the
event loop for the interpreter.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import cast

from sqlalchemy import ClauseElement, Dialect
from sqlalchemy.engine.interfaces import DBAPICursor

Values = Mapping[str, object]
Bound = Sequence[object] | Values


class Prepared:
    """One statement with named parameters, in the text of one dialect."""

    def __init__(self, statement: ClauseElement, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self.text = str(compiled)
        self._bound = _binder(getattr(compiled, "positiontup", None))

    def run(self, cursor: DBAPICursor, values: Values) -> int:
        """Execute it once; returns the number of rows it touched."""
        cursor.execute(self.text, self._bound(values))
        return cursor.rowcount

    def run_many(self, cursor: DBAPICursor, rows: Iterable[Values]) -> int:
        """Execute it for each of `rows`; returns the number of rows touched in all."""
        bound = [self._bound(row) for row in rows]
        if not bound:
            return 0
        cursor.executemany(self.text, cast("Sequence[Values]", bound))
        return cursor.rowcount

    def first(self, cursor: DBAPICursor, values: Values) -> Sequence[object] | None:
        """Execute it and return its first row, if there is one."""
        cursor.execute(self.text, self._bound(values))
        row: Sequence[object] | None = cursor.fetchone()
        return row


def _binder(names: Sequence[str] | None) -> Callable[[Values], Bound]:
    """Return what turns named values into those that the driver takes, by place or by name."""
    if names is None:
        return lambda values: values
    if len(names) < 2:
        return lambda values: [values[name] for name in names]
    return itemgetter(*names)
