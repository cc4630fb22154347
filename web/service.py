"""The one object that everything long-lived hangs off; `main` builds it, and tests do too."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import trio

from actors.embedding import Embedder
from actors.heavy import THREADS
from actors.journal import Subscription
from actors.laggard import Pace
from actors.ledger import Estimates
from actors.ports import Stored
from actors.registry import Registry
from actors.routing.board import RouteBoard
from actors.turn import Clock, Turn
from actors.writer import Dialect, Writer
from store.store import Store
from web.config import Config
from web.conversations import Conversations
from web.metrics import Metrics
from web.planning import Planner

TENANT = "tenant_default"
"""Whose every turn is, until there are keys."""


@dataclass(frozen=True, slots=True)
class Service:
    """What the routes may use. Nothing in it outlives the service nursery."""

    config: Config
    store: Store
    registry: Registry
    planner: Planner
    metrics: Metrics
    now: Clock
    board: RouteBoard
    embedders: Mapping[str, Embedder]
    """The providers that make embeddings, by name."""
    estimates: Estimates
    """Token counts of what no provider has counted."""
    conversations: Conversations = field(default_factory=Conversations)
    """Whose turn it is in each."""

    threads: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(THREADS))
    """Where answers are put together that would keep everybody waiting."""

    @property
    def settle_s(self) -> float:
        """Seconds that a leaving client's request waits for its turn to be final."""
        return self.config.turns.finalise_timeout_s * 2

    def writer(self, turn: Turn, dialect: Dialect) -> Writer:
        """A reader of the turn from its first event on, who must keep the pace of `[limits]`."""
        return self.reader(turn.journal.subscribe(), dialect, stored=lambda: turn.stored)

    def reader(
        self,
        reading: Subscription,
        dialect: Dialect,
        frames: bytes = b"",
        stored: Callable[[], Stored | None] = lambda: "committed",
    ) -> Writer:
        """A reader of a journal that goes on with `frames`, rendered already; at the same pace."""
        limits = self.config.limits
        pace = Pace(limits.reader_lag_bytes, limits.reader_bytes_per_s)
        return Writer(reading, dialect, stored, pace, frames, self.threads)
