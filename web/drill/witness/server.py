"""Server of `trouper simulate`: the simulated provider over HTTP."""

import errno
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import trio
from msgspec import Struct

from actors.providers.simulated import Scenario
from web.drill.witness.connection import handle
from web.drill.witness.http1 import SocketEndpoint
from web.drill.witness.observations import Witness
from web.drill.witness.observations_file import keep_witness_file, witness_channel
from web.drill.witness.simulation import Simulation

_BACKLOG = 4096
_PAUSE_S = 0.05
_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


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
    listener = await trio.to_thread.run_sync(_listen, settings.host, settings.port)
    with listener:
        if settings.witness is None:
            await _serve(listener, Simulation(settings.scenario, Witness()), task_status)
            return
        sender, receiver = witness_channel()
        witness = Witness(sender.send_nowait, tokens=settings.witness_tokens)
        async with trio.open_nursery() as nursery:
            # The file's task runs until the sender closes, so it outlives the last connection.
            await nursery.start(keep_witness_file, settings.witness, receiver)
            with sender:
                await _serve(listener, Simulation(settings.scenario, witness), task_status)


def run_simulated(settings: SimulateSettings, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then stop at once; call `announce` with the base URL.

    Raises `OSError` if it cannot listen on the address or write the witness file.
    """
    try:
        trio.run(_until_signalled, settings, announce)
    except ExceptionGroup as group:
        errors, others = group.split(OSError)
        if errors is None or others is not None:
            raise
        raise _single(errors) from None


def _single(errors: BaseException) -> BaseException:
    while isinstance(errors, BaseExceptionGroup):
        errors = errors.exceptions[0]
    return errors


async def _until_signalled(settings: SimulateSettings, announce: Callable[[str], None]) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            port = await nursery.start(serve_simulated, settings)
            host = f"[{settings.host}]" if ":" in settings.host else settings.host
            announce(f"http://{host}:{port}/v1")
            await anext(aiter(signals))
            nursery.cancel_scope.cancel()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    listener.setblocking(False)
    return listener


async def _serve(
    listener: socket.socket, simulation: Simulation, task_status: trio.TaskStatus[int]
) -> None:
    async with trio.open_nursery() as connections:
        task_status.started(listener.getsockname()[1])
        while True:
            await trio.lowlevel.wait_readable(listener)
            try:
                sock, _ = listener.accept()
            except OSError as error:
                # Without a pause, accept would fail again at once and use up the CPU.
                if error.errno in _OUT_OF_RESOURCES:
                    await trio.sleep(_PAUSE_S)
                continue
            connections.start_soon(handle, SocketEndpoint(sock), simulation)
