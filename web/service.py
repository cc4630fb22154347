"""The service object: holds everything that lives as long as the server, for use by routes.

A surface is a folder with routes; its `Surface` has a line in `web.registry`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import trio
from msgspec import Struct
from quart import Blueprint
from werkzeug.datastructures import Headers

from actors.journal.journal import Subscription
from actors.journal.reader_pace import Pace
from actors.ports import Estimator
from actors.providers.embedding_provider import Embedder
from actors.routing.route_board import RouteBoard
from actors.runtime.offload import THREADS
from actors.turn.state import Clock, Turn
from actors.turn.store_records import Stored
from actors.turn_registry import Registry
from actors.writer import Dialect, Writer
from store.records.turn_records import Principal
from store.store import Store
from web import registry
from web.config import Config
from web.dialects.base import DialectSpec
from web.http.json_body import READERS
from web.observability.metrics import Metrics
from web.turns.conversation_lock import ConversationLock
from web.turns.planner import Planner

LOCAL_USER = Principal(tenant_id="tenant_default")
"""The caller of all requests, until API keys exist."""


def local_user(headers: Headers) -> Principal:
    """Return the local user, whatever the request's headers are."""
    return LOCAL_USER


class Surface(Struct, frozen=True):
    """A family of endpoints."""

    routes: "Callable[[Service], Blueprint]"
    """Makes the blueprint."""
    dialect: DialectSpec | None = None
    """Dialect of the turns that it starts; None if it starts none or another surface has it."""
    pages: Sequence[str] = ()
    """Paths of its HTML pages, which links on other sites may open."""


@dataclass(frozen=True)
class Service:
    """Dependencies of the HTTP routes. None of them outlives the service nursery."""

    config: Config
    store: Store
    registry: Registry
    planner: Planner
    metrics: Metrics
    now: Clock
    board: RouteBoard
    embedders: Mapping[str, Embedder]
    """Embedders by the name of their provider."""
    estimates: Estimator
    """Estimates of token counts that providers do not report."""
    conversations: ConversationLock = field(default_factory=ConversationLock)
    """Claims on conversations whose next turn is about to start."""

    principal_of: Callable[[Headers], Principal] = local_user
    """Authenticates a request by its headers."""

    surfaces: Sequence[Surface] = field(
        default_factory=lambda: registry.load(registry.SURFACES, Surface)
    )

    threads: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(THREADS))
    """Limiter of the threads that render and encode large answers."""

    readers: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(READERS))
    """Limiter of the threads that read large requests and their histories."""

    @cached_property
    def dialects(self) -> Mapping[str, DialectSpec]:
        """The surfaces' dialects by name."""
        specs = [surface.dialect for surface in self.surfaces if surface.dialect is not None]
        return {spec.name: spec for spec in specs}

    @property
    def settle_s(self) -> float:
        """Seconds that a disconnected client's request waits for its turn to be final."""
        return self.config.turns.finalise_timeout_s * 2

    def writer(self, turn: Turn, dialect: Dialect) -> Writer:
        """Return a reader of the turn from its first event on, with the pace of `[limits]`."""
        return self.reader(turn.journal.subscribe(), dialect, stored=lambda: turn.stored)

    def reader(
        self,
        reading: Subscription,
        dialect: Dialect,
        frames: bytes = b"",
        stored: Callable[[], Stored | None] = lambda: "committed",
    ) -> Writer:
        """Return a reader of a journal that starts with the already rendered `frames`.

        It must keep the same pace.
        """
        limits = self.config.limits
        pace = Pace(limits.reader_lag_bytes, limits.reader_bytes_per_s)
        return Writer(reading, dialect, stored, pace, frames, self.threads)
