"""Migrates a database's schema, or refuses a database that belongs to another program."""

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from store.database.backend import Backend, StoreRefused
from store.database.settings import Migrate
from store.migrations import HEAD, KNOWN

_VERSIONS = "alembic_version"


def bring_up_to_date(engine: Engine, backend: Backend, migrate: Migrate) -> None:
    """Migrate to the newest revision if needed; raises `StoreRefused`."""
    with engine.connect() as connection:
        if _revision(connection, backend) == HEAD:
            return
    if migrate == "never":
        raise StoreRefused(
            f"{backend.base_path}: the schema is not up to date; run `trouper migrate`"
        )
    upgrade(engine, backend)


def upgrade(engine: Engine, backend: Backend) -> None:
    """Run the missing revisions in one transaction; a second process that migrates waits."""
    # Imported here because importing Alembic takes 0.1 s, which most starts do not need.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[1] / "migrations"))
    with engine.connect() as connection:
        backend.lock_schema(connection)
        with connection.begin():
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def _revision(connection: Connection, backend: Backend) -> str | None:
    """Read the schema's revision; None for a blank database."""
    names = inspect(connection).get_table_names()
    if _VERSIONS not in names:
        if names:
            raise StoreRefused(
                f"{backend.base_path}: holds another program's tables; give another store.url"
            )
        return None
    # S608: the table name is a constant.
    found: str | None = connection.scalar(text(f"SELECT version_num FROM {_VERSIONS}"))  # noqa: S608
    if found is not None and found not in KNOWN:
        raise StoreRefused(
            f"{backend.base_path}: written by a newer Trouper (schema {found}, this one knows"
            f" {HEAD}); upgrade Trouper, or give another store.url"
        )
    return found
