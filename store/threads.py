"""Runs blocking calls in threads that a cancelled caller does not wait for."""

from collections.abc import Callable
from typing import TypeVar

import trio

T = TypeVar("T")


async def in_thread(action: Callable[[], T], limiter: trio.CapacityLimiter | None = None) -> T:
    """Run `action` in a thread. A cancelled caller returns at once; the action still finishes."""
    return await trio.to_thread.run_sync(action, limiter=limiter, abandon_on_cancel=True)
