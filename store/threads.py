"""Threads for what blocks."""

from collections.abc import Callable
from typing import TypeVar

import trio

T = TypeVar("T")


async def in_thread(action: Callable[[], T], limiter: trio.CapacityLimiter | None = None) -> T:
    """Run `action` in a thread. A cancelled caller leaves at once; the action goes on."""
    return await trio.to_thread.run_sync(action, limiter=limiter, abandon_on_cancel=True)
