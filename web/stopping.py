"""How the server stops: SIGTERM or Ctrl-C drains it, a second one skips the waiting.

A supervisor that has started another process in its place has it *hand over* instead: then no
request is refused.
"""

import signal
from collections.abc import Awaitable, Callable
from functools import partial

import structlog
import trio

from actors.outcome import Reason
from actors.registry import Registry
from web.config import Server
from web.server import HttpServer

LAST_FRAMES_S = 1.0
"""Seconds that readers have, in the end, to take the last frames of their turns."""

SETTLE_S = 1.0
"""Handing over: seconds that a connection may stand idle before it is closed.

A client may be sending a request on it just now.
"""

_log = structlog.get_logger("trouper.server")


class Stop:
    """Whether the server was asked to stop, and whether it was asked to hurry."""

    def __init__(self) -> None:
        self.asked = trio.Event()
        self.hurried = trio.Event()
        self.replaced = False
        """Whether another process accepts connections now."""
        self._signalled = False

    def ask(self) -> None:
        """Drain. Asking again changes nothing."""
        self.asked.set()

    def hand_over(self) -> None:
        """Drain, while another process accepts."""
        self.replaced = self.replaced or not self.asked.is_set()
        self.asked.set()

    def hurry(self) -> None:
        """Skip the waiting."""
        self.asked.set()
        self.hurried.set()

    async def watch_signals(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """The service task: the first signal asks, the second hurries."""
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            task_status.started()
            async for number in signals:
                again, self._signalled = self._signalled, True
                _log.info("signal", name=signal.Signals(number).name, again=again)
                if again:
                    self.hurry()
                else:
                    self.ask()

    async def wait_or_hurry(self, wait: Callable[[], Awaitable[object]], seconds: float) -> None:
        """Wait for `wait`, at most `seconds`, and not at all once hurried."""
        with trio.move_on_after(seconds):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._cancel_when_hurried, nursery.cancel_scope)
                await wait()
                nursery.cancel_scope.cancel()

    async def _cancel_when_hurried(self, scope: trio.CancelScope) -> None:
        await self.hurried.wait()
        scope.cancel()


async def drain(stop: Stop, settings: Server, registry: Registry, server: HttpServer) -> None:
    """Stop in the order that loses nothing; returns when every turn has its record.

    New turns are refused at once but connections are still taken for `grace_s`, so that load
    balancers notice; then live turns have `drain_s` to end; the rest is cancelled and finalised.
    Who hands over accepts no more connections and refuses nothing on those that are open.
    """
    _log.info("draining", live_turns=len(registry), handing_over=stop.replaced)
    if stop.replaced:
        server.leave(SETTLE_S)
        await stop.wait_or_hurry(partial(_wait_deserted, registry, server), settings.drain_s)
        registry.draining = True
    else:
        registry.draining = True
        await stop.wait_or_hurry(trio.sleep_forever, settings.grace_s)
        server.stop_accepting()
        await stop.wait_or_hurry(registry.wait_empty, settings.drain_s)
    if len(registry):
        _log.warning("ending live turns", live_turns=len(registry))
    registry.stop_all(Reason.SERVER_SHUTDOWN)
    await registry.wait_empty()
    await server.drain(LAST_FRAMES_S)
    server.close_all()


async def _wait_deserted(registry: Registry, server: HttpServer) -> None:
    """Wait until no client can ask for anything more, and no turn is live."""
    await trio.sleep(SETTLE_S)  # a connection may have been accepted this very moment
    await server.wait_closed()
    await registry.wait_empty()
