"""What can be chosen about the store."""

from typing import Literal

from msgspec import Struct

Synchronous = Literal["NORMAL", "FULL"]
Migrate = Literal["auto", "never"]


class StoreSettings(Struct, frozen=True, kw_only=True):
    """Where records go, and how patient and how careful the store is with them."""

    url: str = "sqlite:///trouper.db"
    """A SQLAlchemy URL. `sqlite://` is a database of this process alone, gone at its end."""
    synchronous: Synchronous = "NORMAL"
    """`NORMAL` survives the death of the process; `FULL` also that of the machine."""
    migrate: Migrate = "auto"
    """Whether an older or empty database is brought up to date at start-up."""
    busy_timeout_ms: int = 2000
    """How long a write waits for another process's lock before it is `StoreUnavailable`."""
    start_wait_s: float = 5.0
    """How long start-up waits for another process's lock."""
    spool_bytes: int = 64 * 1024 * 1024
    """The size that the spool never exceeds."""
    queue_size: int = 4096
    """Writes that may wait for the writer; further askers wait for a place."""
    batch_size: int = 256
    """The most requests that one transaction carries out."""
    readers: int = 4
    """Threads, and so connections, that read."""
