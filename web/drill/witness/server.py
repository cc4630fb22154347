"""Server of `trouper simulate`: the simulated provider over HTTP."""

import signal
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import trio
from msgspec import Struct

from actors.providers.simulated import Scenario
from web.drill.witness.connection import handle
from web.drill.witness.http1 import Endpoint
from web.drill.witness.observations import Witness, keep_witness_file, witness_channel
from web.drill.witness.simulation import Simulation

_BACKLOG = 4096


class SimulateSettings(Struct, frozen=True, kw_only=True):
    """Address, scenario and witness file of the simulated provider."""

    host: str = "127.0.0.1"
    port: int = 0
    """TCP port; 0 picks a free port, which is announced."""
    scenario: Scenario = Scenario()
    witness: Path | None = None
    """File to which each witness event is appended as a JSON line."""
    witness_tokens: bool = False
    """True to write an event for each batch of tokens too."""


async def serve_simulated(  # noqa: ASYNC128 (it passes task_status on)
    settings: SimulateSettings,
    *,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; `task_status.started` reports the actual port.

    Raises `OSError` if it cannot listen on the address, and an exception group with an `OSError` if
    the witness file cannot be written.
    """
    listeners = await trio.open_tcp_listeners(settings.port, host=settings.host, backlog=_BACKLOG)
    async with AsyncExitStack() as stack:
        for listener in listeners:
            await stack.enter_async_context(listener)
        witness = Witness()
        if settings.witness is not None:
            nursery = await stack.enter_async_context(trio.open_nursery())
            sender, receiver = witness_channel()
            # The file's task runs until the sender closes, so it outlives the last connection.
            await nursery.start(keep_witness_file, settings.witness, receiver)
            note = stack.enter_context(sender).send_nowait
            witness = Witness(note, tokens=settings.witness_tokens)
        serve = partial(_serve, Simulation(settings.scenario, witness))
        task_status.started(listeners[0].socket.getsockname()[1])
        await trio.serve_listeners(serve, listeners)


async def _serve(simulation: Simulation, stream: trio.SocketStream) -> None:
    await handle(Endpoint(socket.socket(fileno=stream.socket.detach())), simulation)


def run_simulated(settings: SimulateSettings, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then stop at once; call `announce` with the base URL.

    Raises an exception group with an `OSError` if it cannot listen on the address or write the
    witness file.
    """
    trio.run(_until_signalled, settings, announce)


async def _until_signalled(settings: SimulateSettings, announce: Callable[[str], None]) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            port = await nursery.start(serve_simulated, settings)
            host = f"[{settings.host}]" if ":" in settings.host else settings.host
            announce(f"http://{host}:{port}/v1")
            await anext(aiter(signals))
            nursery.cancel_scope.cancel()
