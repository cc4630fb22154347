"""Opens and closes the database and this process's local files. Blocks: call in a thread."""

from contextlib import ExitStack
from dataclasses import dataclass

from sqlalchemy import Engine

from store.backend import Backend, StoreRefused
from store.engine import backend_for, open_engine
from store.owners import Owner
from store.settings import StoreSettings
from store.spool import SUFFIX, Spool


@dataclass(frozen=True)
class StoreParts:
    """The open database and this process's own files next to it."""

    backend: Backend
    owner: Owner
    spool: Spool
    engine: Engine

    def close(self) -> None:
        """Close everything. A spool that still holds records is left for the next start."""
        self.engine.dispose()
        self.spool.close(remove=self.spool.records == 0)
        self.owner.release()
        self.backend.remove()


def open_parts(settings: StoreSettings) -> StoreParts:
    """Open all parts, or none; raises `StoreRefused`."""
    backend = backend_for(settings)
    with ExitStack() as undo:
        undo.callback(backend.remove)
        try:
            parts = _open(backend, settings, undo)
        except OSError as error:
            raise StoreRefused(backend.opening_error(error) or str(error)) from error
        undo.pop_all()
    return parts


def _open(backend: Backend, settings: StoreSettings, undo: ExitStack) -> StoreParts:
    owner = Owner(backend.base_path)
    undo.callback(owner.release)
    engine = open_engine(backend, settings)
    undo.callback(engine.dispose)
    owner.remove_stale()
    spool = Spool.create(owner.path_of(owner.id, SUFFIX), settings.spool_bytes)
    return StoreParts(backend, owner, spool, engine)
