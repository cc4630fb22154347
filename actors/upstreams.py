"""Dependencies of the streamer: providers, route board and token estimates."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import trio

from actors.heavy import THREADS
from actors.ports import Estimates, Provider
from actors.retry import Jitter
from actors.routing.board import RouteBoard


@dataclass(frozen=True, slots=True)
class Upstreams:
    """The providers and their shared state; one instance serves all turns."""

    providers: Mapping[str, Provider]
    board: RouteBoard
    estimates: Estimates
    now: Callable[[], float]
    """Clock that returns seconds since the epoch."""
    jitter: Jitter
    threads: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(THREADS))
    """Limiter for the threads that analyse large calls."""
