"""Restarts service tasks that crash, with backoff, and logs the crash."""

from collections.abc import Awaitable, Callable

import trio

from web.observability.metrics import Metrics

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0


async def keep_running(name: str, task: Callable[[], Awaitable[None]], metrics: Metrics) -> None:
    """Run `task` and restart it whenever it crashes; return when it returns.

    Only for tasks that can be restarted at any point, without a half-done operation.
    """
    pause = FIRST_PAUSE_S
    while True:
        began = trio.current_time()
        try:
            await task()
            return
        except Exception as error:
            metrics.task_crashed(name, error)
        if trio.current_time() - began > LONGEST_PAUSE_S:
            pause = FIRST_PAUSE_S
        await trio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE_S)
