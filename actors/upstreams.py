"""What a streamer needs besides its turn: the providers, and what is known of their routes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import trio

from actors.heavy import THREADS
from actors.ledger import Estimates
from actors.providers.base import Provider
from actors.retry import Jitter
from actors.routing.board import RouteBoard


@dataclass(frozen=True, slots=True)
class Upstreams:
    """One of these for all turns."""

    providers: Mapping[str, Provider]
    board: RouteBoard
    estimates: Estimates
    now: Callable[[], float]
    """Seconds since the epoch."""
    jitter: Jitter
    threads: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(THREADS))
    """These look at large calls."""
