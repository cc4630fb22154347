"""Opens the database: chooses the backend, checks it, and brings its schema up to date.

`in_thread` runs blocking calls of the store in threads.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import trio
from sqlalchemy import Connection, Engine, inspect, make_url, text
from sqlalchemy.exc import ArgumentError

from store.database.backend import Backend, StoreRefused
from store.database.settings import StoreSettings
from store.database.sqlite import SQLite
from store.migrations import HEAD, KNOWN

T = TypeVar("T")

_VERSIONS = "alembic_version"


def backend_for(settings: StoreSettings) -> Backend:
    """Return the backend for `settings.url`; raises `StoreRefused`."""
    try:
        url = make_url(settings.url)
    except ArgumentError:
        # The URL is not shown because it may hold a password.
        raise StoreRefused("store.url: not a URL; give one such as sqlite:///trouper.db") from None
    if url.get_backend_name() != "sqlite":
        raise StoreRefused(
            f"store.url: {url.get_backend_name()!r} is not supported; give a sqlite:/// URL"
        )
    return SQLite(url, settings)


def open_engine(backend: Backend) -> Engine:
    """Open the database, check it and migrate it; raises `StoreRefused`. Blocks: use a thread."""
    engine = backend.engine()
    try:
        backend.check(engine)
        bring_up_to_date(engine, backend)
    except BaseException as error:
        engine.dispose()
        line = None if isinstance(error, StoreRefused) else backend.opening_error(error)
        if line is None:
            raise
        raise StoreRefused(line) from error  # noqa: ASYNC104 (in a thread, no cancellation)
    return engine


def bring_up_to_date(engine: Engine, backend: Backend) -> None:
    """Migrate to the newest revision if needed; raises `StoreRefused`."""
    with engine.connect() as connection:
        if _revision(connection, backend) == HEAD:
            return
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


async def in_thread(action: Callable[[], T], limiter: trio.CapacityLimiter | None = None) -> T:
    """Run `action` in a thread. A cancelled caller doesn't wait; the action still finishes."""
    return await trio.to_thread.run_sync(action, limiter=limiter, abandon_on_cancel=True)
