"""What an open store consists of, and how it is opened. Blocks: call in a thread."""

from dataclasses import dataclass

from sqlalchemy import Engine

from store.backend import Backend, StoreRefused
from store.engine import backend_for, open_engine
from store.owners import Owner
from store.settings import StoreSettings
from store.spool import SUFFIX, Spool


@dataclass(frozen=True)
class Parts:
    """The database, and this process's own files beside it."""

    backend: Backend
    owner: Owner
    spool: Spool
    engine: Engine

    def close(self) -> None:
        """Let go of everything; a spool that still holds records stays, for the next start."""
        self.engine.dispose()
        self.spool.close(remove=self.spool.records == 0)
        self.owner.release()
        self.backend.remove()


def open_parts(settings: StoreSettings) -> Parts:
    """Open them all, or none; raises `StoreRefused`."""
    backend = backend_for(settings)
    try:
        owner = Owner(backend.beside)
    except OSError as error:
        raise _refused(backend, error) from error
    try:
        engine = open_engine(backend, settings)
        owner.remove_stale()
        spool = Spool.create(owner.path_of(owner.id, SUFFIX), settings.spool_bytes)
    except BaseException as error:
        owner.release()
        if isinstance(error, OSError):
            raise _refused(backend, error) from error
        raise
    return Parts(backend, owner, spool, engine)


def _refused(backend: Backend, error: OSError) -> StoreRefused:
    return StoreRefused(backend.refusal(error) or str(error))
