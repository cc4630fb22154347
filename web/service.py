"""The one object that everything long-lived hangs off; `main` builds it, and tests do too."""

from dataclasses import dataclass

from actors.registry import Registry
from actors.turn import Clock
from store.store import Store
from web.config import Config
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

    @property
    def settle_s(self) -> float:
        """Seconds that a leaving client's request waits for its turn to be final."""
        return self.config.turns.finalise_timeout_s * 2
