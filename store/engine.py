"""Opening the database: the right backend, its checks, its schema."""

from sqlalchemy import Engine, make_url
from sqlalchemy.exc import ArgumentError

from store.backend import Backend, StoreRefused
from store.schema import bring_up_to_date
from store.settings import StoreSettings
from store.sqlite import SQLite


def backend_for(settings: StoreSettings) -> Backend:
    """Choose the backend that `settings.url` asks for; raises `StoreRefused`."""
    try:
        url = make_url(settings.url)
    except ArgumentError:
        # The URL itself is not shown: it may hold a password.
        raise StoreRefused("store.url is no URL; give one such as sqlite:///trouper.db") from None
    if url.get_backend_name() != "sqlite":
        raise StoreRefused(
            f"store.url: no support for {url.get_backend_name()!r}; give a sqlite:/// URL"
        )
    return SQLite(url, settings)


def open_engine(backend: Backend, settings: StoreSettings) -> Engine:
    """Open the database, checked and up to date; raises `StoreRefused`. For a thread."""
    engine = backend.engine()
    try:
        backend.check(engine)
        bring_up_to_date(engine, backend, settings.migrate)
    except BaseException as error:
        engine.dispose()
        line = None if isinstance(error, StoreRefused) else backend.refusal(error)
        if line is None:
            raise
        raise StoreRefused(line) from error  # noqa: ASYNC104 (in a thread, no cancellation)
    return engine
