"""Measures the event loop's lag: the delay that it adds to each token."""

import trio

from web.metrics import Metrics

EVERY_S = 0.5


async def measure_loop_lag(metrics: Metrics) -> None:
    """Measure until cancelled. A service task."""
    while True:
        due = trio.current_time() + EVERY_S
        await trio.sleep_until(due)
        metrics.loop_lag.set(trio.current_time() - due)
