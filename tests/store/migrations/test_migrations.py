import logging
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect
from sqlalchemy.engine.interfaces import ReflectedIndex

import store.migrations
from store.database import engine
from store.database.engine import backend_for, open_engine
from store.database.settings import StoreSettings
from store.database.tables import metadata
from store.migrations import HEAD, KNOWN


def described(engine: Engine) -> dict[str, object]:
    """Return SQLAlchemy's reflection of a schema in comparable form."""
    found = inspect(engine)
    return {
        name: (
            [{**column, "type": str(column["type"])} for column in found.get_columns(name)],
            found.get_pk_constraint(name),
            found.get_foreign_keys(name),
            sorted(map(_index_as_text, found.get_indexes(name)), key=lambda index: index["name"]),
        )
        for name in found.get_table_names()
        if name != "alembic_version"
    }


def _index_as_text(index: ReflectedIndex) -> dict[str, str]:
    """Return an index as text, because its condition object only equals itself."""
    options = index.get("dialect_options", {})
    conditions = {name: str(condition) for name, condition in options.items()}
    return {key: str(value) for key, value in index.items()} | {"dialect_options": str(conditions)}


def test_migrated_schema_equals_tables(settings: StoreSettings) -> None:
    migrated = open_engine(backend_for(settings))
    declared = create_engine("sqlite://")
    metadata.create_all(declared)
    assert described(migrated) == described(declared)
    assert set(described(migrated)) == set(metadata.tables)
    migrated.dispose()
    declared.dispose()


def test_known_revisions_equal_scripts() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(store.migrations.__file__).parent))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [HEAD]
    assert tuple(s.revision for s in scripts.walk_revisions())[::-1] == KNOWN


def test_migration_logs_nothing_above_info(
    settings: StoreSettings, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.WARNING):
        open_engine(backend_for(settings)).dispose()
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


def test_second_start_migrates_nothing(
    settings: StoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_engine(backend_for(settings)).dispose()
    monkeypatch.delattr(engine, "upgrade")
    open_engine(backend_for(settings)).dispose()


def test_simultaneous_starts_migrate_once(settings: StoreSettings) -> None:
    opened = "from store.database.engine import *; s = StoreSettings(url=sys.argv[1]);"
    opened += " open_engine(backend_for(s)).dispose()"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", f"import sys; {opened}", settings.url],
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )
        for _ in range(3)
    ]
    errors = [process.communicate(timeout=60)[1] for process in started]
    assert errors == [""] * 3
    assert [process.returncode for process in started] == [0] * 3
