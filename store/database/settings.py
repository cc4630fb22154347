"""Settings of the store."""

from typing import Literal

from msgspec import Struct


class StoreSettings(Struct, frozen=True, kw_only=True):
    """The database, its durability, and the limits and timeouts of the store."""

    url: str = "sqlite:///trouper.db"
    """SQLAlchemy URL; `sqlite://` is a temporary database, deleted when the process ends."""
    synchronous: Literal["normal", "full"] = "normal"
    """Durability of commits: `normal` survives a crash of the process, `full` of the machine."""
    busy_timeout_ms: int = 2000
    """Time that a write waits for another process's lock before it raises `StoreUnavailable`."""
    start_wait_s: float = 5.0
    """Time that start-up waits for another process's lock."""
    spool_bytes: int = 64 * 1024 * 1024
    """Maximum size of the spool file in bytes."""
    queue_size: int = 4096
    """Maximum number of queued writes; further callers wait for a free slot."""
    batch_size: int = 256
    """Maximum number of requests in one transaction."""
    readers: int = 4
    """Number of threads that read, each with its own connection."""
