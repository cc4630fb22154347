"""Stops the server: SIGTERM or Ctrl-C drains it, a second signal skips the waiting.

A supervisor that has started a replacement lets the process *hand over* instead, so that no
request is refused.
"""

import signal
from collections.abc import Awaitable, Callable
from functools import partial

import structlog
import trio

from actors.turn.outcome import Reason
from actors.turn_registry import Registry
from web.config import Server
from web.server import HttpServer

LAST_FRAMES_S = 1.0
"""Seconds that readers have at the end to receive the last frames of their turns."""

SETTLE_S = 1.0
"""Seconds that a connection may be idle during a handover before it is closed.

Closing it at once could lose a request that the client is sending.
"""

_log = structlog.get_logger("trouper.server")


class Stop:
    """The requested shutdown: not yet, drain, hand over, or hurry."""

    def __init__(self) -> None:
        self.requested = trio.Event()
        """Event that a shutdown is requested; by itself it means to drain."""
        self.hurried = trio.Event()
        self.replaced = False
        """True if another process accepts connections now."""
        self._signalled = False

    def hand_over(self) -> None:
        """Request a drain while another process accepts connections."""
        self.replaced = self.replaced or not self.requested.is_set()
        self.requested.set()

    def hurry(self) -> None:
        """Request a shutdown without waiting."""
        self.requested.set()
        self.hurried.set()

    async def watch_signals(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Drain on the first signal, hurry on the second. A service task."""
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            task_status.started()
            async for number in signals:
                again, self._signalled = self._signalled, True
                _log.info("signal received", name=signal.Signals(number).name, again=again)
                if again:
                    self.hurry()
                else:
                    self.requested.set()

    async def wait_or_hurry(self, wait: Callable[[], Awaitable[object]], seconds: float) -> None:
        """Run `wait` for at most `seconds`, or until `hurry` is called."""
        with trio.move_on_after(seconds):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._cancel_when_hurried, nursery.cancel_scope)
                await wait()
                nursery.cancel_scope.cancel()

    async def _cancel_when_hurried(self, scope: trio.CancelScope) -> None:
        await self.hurried.wait()
        scope.cancel()


async def drain(stop: Stop, settings: Server, registry: Registry, server: HttpServer) -> None:
    """Stop without losing anything; return when every turn has its final record.

    New turns are refused at once, but connections are still accepted for `grace_s`, so that load
    balancers notice. Then live turns have `drain_s` to end; the rest is cancelled and finalised.
    In a handover no more connections are accepted, and requests on open ones are still served.
    """
    if stop.replaced:
        server.leave(SETTLE_S)
    else:
        registry.draining = True
    # Logged only now, so that the new state is in effect when the line appears.
    _log.info("drain started", live_turns=len(registry), handing_over=stop.replaced)
    if stop.replaced:
        await stop.wait_or_hurry(partial(_wait_deserted, registry, server), settings.drain_s)
        registry.draining = True
    else:
        await stop.wait_or_hurry(trio.sleep_forever, settings.grace_s)
        server.stop_accepting()
        await stop.wait_or_hurry(registry.wait_empty, settings.drain_s)
    if len(registry):
        _log.warning("live turns cancelled", live_turns=len(registry))
    registry.stop_all(Reason.SERVER_SHUTDOWN)
    await registry.wait_empty()
    await server.drain(LAST_FRAMES_S)
    server.close_all()


async def _wait_deserted(registry: Registry, server: HttpServer) -> None:
    """Wait until all connections are closed and no turn is live."""
    await trio.sleep(SETTLE_S)  # a connection may just have been accepted and not be counted yet
    await server.wait_closed()
    await registry.wait_empty()
