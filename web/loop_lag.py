"""Measures how late the event loop wakes a sleeper: what every token waits for on top."""

import trio

from web.metrics import Metrics

EVERY_S = 0.5


async def measure_loop_lag(metrics: Metrics) -> None:
    """The service task: measure until cancelled."""
    while True:
        due = trio.current_time() + EVERY_S
        await trio.sleep_until(due)
        metrics.loop_lag.set(trio.current_time() - due)
