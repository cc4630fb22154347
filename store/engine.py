"""Opens the database: chooses the backend, checks it, and brings its schema up to date."""

from sqlalchemy import Engine, make_url
from sqlalchemy.exc import ArgumentError

from store.backend import Backend, StoreRefused
from store.schema import bring_up_to_date
from store.settings import StoreSettings
from store.sqlite import SQLite


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
