"""Opens the database: chooses the backend, checks it, and brings its schema up to date.

`in_thread` runs blocking calls of the store in threads.
"""

from collections.abc import Callable
from typing import TypeVar

import trio
from sqlalchemy import Engine, make_url
from sqlalchemy.exc import ArgumentError

from store.database.backend import Backend, StoreRefused
from store.database.schema import bring_up_to_date
from store.database.settings import StoreSettings
from store.database.sqlite import SQLite

T = TypeVar("T")


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


def open_engine(backend: Backend, settings: StoreSettings) -> Engine:
    """Open the database, check it and migrate it; raises `StoreRefused`. Blocks: use a thread."""
    engine = backend.engine()
    try:
        backend.check(engine)
        bring_up_to_date(engine, backend, settings.migrate)
    except BaseException as error:
        engine.dispose()
        line = None if isinstance(error, StoreRefused) else backend.opening_error(error)
        if line is None:
            raise
        raise StoreRefused(line) from error  # noqa: ASYNC104 (in a thread, no cancellation)
    return engine


async def in_thread(action: Callable[[], T], limiter: trio.CapacityLimiter | None = None) -> T:
    """Run `action` in a thread. A cancelled caller doesn't wait; the action still finishes."""
    return await trio.to_thread.run_sync(action, limiter=limiter, abandon_on_cancel=True)
