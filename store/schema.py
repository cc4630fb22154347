"""Bringing a database's schema up to date, or refusing one that is not ours."""

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from store.backend import Backend, StoreRefused
from store.migrations import HEAD, KNOWN
from store.settings import Migrate

_VERSIONS = "alembic_version"


def bring_up_to_date(engine: Engine, backend: Backend, migrate: Migrate) -> None:
    """Migrate to the newest revision where need be; raises `StoreRefused`.

    Alembic is imported only for that, as its import alone takes a tenth of a second.
    """
    with engine.connect() as connection:
        if _revision(connection, backend) == HEAD:
            return
    if migrate == "never":
        raise StoreRefused(f"{backend.beside}: the schema is not up to date; run `trouper migrate`")
    upgrade(engine, backend)


def upgrade(engine: Engine, backend: Backend) -> None:
    """Run the missing revisions in one transaction; a second process that does so waits."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
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
                f"{backend.beside}: holds another program's tables; give another store.url"
            )
        return None
    found: str | None = connection.scalar(text(f"SELECT version_num FROM {_VERSIONS}"))  # noqa: S608
    if found is not None and found not in KNOWN:
        raise StoreRefused(
            f"{backend.beside}: written by a newer Trouper (schema {found}, this one knows"
            f" {HEAD}); upgrade Trouper, or give another store.url"
        )
    return found
