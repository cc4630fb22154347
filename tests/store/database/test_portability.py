"""Tests that only the backend module depends on SQLite: all SQL compiles for PostgreSQL."""

import ast
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import ClauseElement, Connection, Insert, Select, Table, make_url
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.schema import CreateIndex, CreateTable

import store
from store.conversations import repository
from store.conversations.repository import ConversationWrites
from store.database import tables
from store.database.prepared_statements import PreparedStatement
from store.database.settings import StoreSettings
from store.database.sqlite import SQLite
from store.turns import history, reads
from store.turns.deletion import Deletions
from store.turns.finalise import FinalWrites
from store.turns.writes import TurnWrites
from tests.support.store_records import CALLER

SOURCES = sorted(p for p in Path(store.__file__).parent.rglob("*.py") if p.name != "sqlite.py")


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_only_one_module_depends_on_sqlite(source: Path) -> None:
    """`engine` may import it, because it chooses the backend by URL."""
    tree = ast.parse(source.read_text())
    imported = {
        module
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for module in ([node.module] if isinstance(node, ast.ImportFrom) else _names(node))
    }
    sqlite = {module for module in imported if module and "sqlite" in module}
    assert sqlite == ({"store.database.sqlite"} if source.name == "engine.py" else set())
    assert "PRAGMA" not in source.read_text()


def _names(node: ast.Import) -> list[str | None]:
    return [alias.name for alias in node.names]


class PostgresInserts(SQLite):
    """A backend whose one database-specific statement is in PostgreSQL's dialect."""

    def insert_or_extend(self, table: Table, rows: Select[*tuple[object, ...]] | None) -> Insert:
        base = insert(table) if rows is None else insert(table).from_select(table.c.keys(), rows)
        return base.on_conflict_do_update(
            index_elements=[table.c.turn_id, table.c.first_seq],
            set_={"last_seq": base.excluded.last_seq, "blob": base.excluded.blob},
            where=base.excluded.last_seq > table.c.last_seq,
        )


def test_every_write_compiles_for_postgresql(settings: StoreSettings) -> None:
    backend = PostgresInserts(make_url(settings.url), settings)
    dialect = postgresql.psycopg.dialect()  # type: ignore[no-untyped-call]
    prepare = partial(PreparedStatement, dialect=dialect)
    for writes in (
        TurnWrites(prepare, backend, float),
        FinalWrites(prepare, backend),
        Deletions(prepare),
        ConversationWrites(prepare),
    ):
        values = [*vars(writes).values(), *getattr(writes, "deletions", ())]
        texts = [value.text for value in values if hasattr(value, "text")]
        assert texts
        assert not any("?" in text for text in texts)


READS: list[Callable[[Connection], object]] = [
    lambda connection: history.chain(connection, CALLER, "turn_a", 9, 99),
    lambda connection: history.latest_turn_in(connection, CALLER, "chat"),
    lambda connection: history.conversation_live(connection, CALLER, "chat"),
    lambda connection: history.turn_items(connection, CALLER, [("turn_a", "input")], 9),
    lambda connection: history.item_places(connection, CALLER, ["msg_a"]),
    lambda connection: repository.get(connection, CALLER, "chat"),
    lambda connection: repository.items(connection, CALLER, "chat"),
    lambda connection: repository.find_items(connection, CALLER, ["msg_a"]),
    lambda connection: reads.response(connection, CALLER, "turn_a"),
    lambda connection: reads.list_turns(connection, CALLER, limit=9),
]


class Executed(Exception):
    """Raised instead of executing a statement."""

    def __init__(self, statement: ClauseElement) -> None:
        super().__init__()
        self.statement = statement


class CapturingConnection:
    """A connection that raises each statement instead of executing it."""

    def execute(self, statement: ClauseElement, given: object = None) -> object:
        raise Executed(statement)

    scalar = execute


@pytest.mark.parametrize("read", READS)
def test_every_read_compiles_for_postgresql(read: Callable[[Connection], object]) -> None:
    dialect = postgresql.psycopg.dialect()  # type: ignore[no-untyped-call]
    with pytest.raises(Executed) as executed:
        read(cast("Connection", CapturingConnection()))
    assert "?" not in str(executed.value.statement.compile(dialect=dialect))


def test_the_schema_compiles_for_postgresql() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    for table in tables.metadata.sorted_tables:
        assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=dialect))
        for index in table.indexes:
            assert "CREATE INDEX" in str(CreateIndex(index).compile(dialect=dialect))
