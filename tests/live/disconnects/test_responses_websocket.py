"""Disconnects of Responses WebSockets, within the bound for HTTP.

Measured as in `tests.live.disconnects.test_disconnects`. Covers clients that vanish without FIN or
RST, and sockets that were used for another response before.
"""

import os
import sys
import time
from collections.abc import Awaitable, Callable
from itertools import count, product
from pathlib import Path

import pytest

from tests.live.disconnects.test_dead_peers import closed_at, last_turn
from tests.live.disconnects.test_disconnects import (
    BOUND_S,
    POSITIONS,
    Disconnect,
    Position,
    check_record,
    cpu_wait_s,
    format_latencies,
    percentile,
    wait_for_report,
)
from tests.support.live import harness
from tests.support.live.harness import Process, Server, until
from tests.support.live.network_namespace import network_namespace
from tests.support.live.websocket_client import DISCONNECT_KINDS, LiveSocket, open_socket
from tests.support.sizes import FULL

REPEATS = 100 if FULL else 8
"""Disconnects of each kind."""
QUICK = "up/v:first=0,delay=0,tokens=5"
STALL_S = 5.0
MISSED_S = 6.0
STREAMS = {"streaming": "delay=20ms,tokens=20000", "silent": "delay=0,tokens=5000,stall=3"}

_numbers = count(1)


async def reach_position(
    position: Position, socket: LiveSocket, upstream: Process, user: str
) -> str:
    """Wait until the response has reached the position; return the text received."""
    if position.reached is None:
        return await socket.read_text(3)
    await wait_for_report(upstream, user, position.reached)
    return ""


async def disconnect_once(
    live: Server, upstream: Process, position: Position, how: str, *, busy: bool
) -> Disconnect:
    """Disconnect at this position and check the record.

    `busy` uses the socket for another response before, and requests one more during this one.
    """
    number = next(_numbers)
    model, user = f"up/ws{number}:{position.settings}", f"ws-leaver-{number}"
    pids = [live.pid, upstream.pid, os.getpid()]
    async with open_socket(live, model) as socket:
        if busy:
            await socket.respond(model=QUICK, store=False)
        await socket.create(user=user)
        if busy:
            await socket.create()
        received = await reach_position(position, socket, upstream, user)
        waited = cpu_wait_s(pids)
        left_at = socket.disconnect(how)
        report = await wait_for_report(upstream, user, "closed_at")
        waited = cpu_wait_s(pids) - waited
    await check_record(live, model, position, report, received)
    assert isinstance(report["closed_at"], float)
    return Disconnect(report["closed_at"] - left_at, waited)


@pytest.mark.alone
@pytest.mark.parametrize("name", ["before upstream headers", "after headers", "mid-stream"])
async def test_upstream_closes_within_10_ms_of_a_disconnect(
    live: Server, upstream: Process, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found: list[Disconnect] = []
    for _, how, busy in product(range(REPEATS), DISCONNECT_KINDS, (False, True)):
        found += [await disconnect_once(live, upstream, POSITIONS[name], how, busy=busy)]
    with capsys.disabled():
        print(f"\nWebSocket, {name}: {format_latencies(found)}")  # noqa: T201 (reports the measurement)
    assert percentile(0.99, [disconnect.own_s for disconnect in found]) < BOUND_S


@pytest.mark.parametrize("stream", STREAMS)
async def test_vanished_client_is_detected(tmp_path: Path, upstream: Process, stream: str) -> None:
    user = f"ws-{stream}"
    settings = (
        f"[limits]\nwrite_stall_s = {STALL_S}\n[timeouts]\nidle_s = 300\n"
        f"[turns]\nheartbeat_s = {STALL_S / 2}\n"
    )
    config = harness.write_config(tmp_path, upstream.port, settings)
    with network_namespace() as namespace:
        wrapper = ("tests.support.live.bind_any_host", namespace.host_address)
        with harness.serving(tmp_path, config, wrapper=wrapper) as server:
            received = tmp_path / "received"
            client = namespace_client_command(
                namespace.host_address, server.port, f"up/v:{STREAMS[stream]}", user
            )
            with namespace.running(client, received):
                await until(has_received(received, b"response.output_text.delta", 3))
                namespace.unplug()
                vanished_at = time.monotonic()
                server.host = namespace.host_address
                missed_s = await closed_at(upstream, user, MISSED_S + 5) - vanished_at
            found = await last_turn(server)
    assert 0.5 < missed_s <= MISSED_S
    assert (found["status"], found["reason"]) == ("incomplete", "client_disconnected")


async def test_vanished_idle_client_is_detected(tmp_path: Path, upstream: Process) -> None:
    settings = f"[limits]\nwrite_stall_s = {STALL_S}\n[turns]\nheartbeat_s = {STALL_S / 2}\n"
    config = harness.write_config(tmp_path, upstream.port, settings)
    with network_namespace() as namespace:
        wrapper = ("tests.support.live.bind_any_host", namespace.host_address)
        with harness.serving(tmp_path, config, wrapper=wrapper) as server:
            received = tmp_path / "received"
            with namespace.running(
                namespace_client_command(namespace.host_address, server.port, "", ""), received
            ):
                await until(has_received(received, b"connected", 1))
                namespace.unplug()
                vanished_at = time.monotonic()

                async def missed() -> bool:
                    return bool(server.logged("client vanished") or server.logged("request ended"))

                await until(missed, MISSED_S + STALL_S)
                missed_s = time.monotonic() - vanished_at
    assert 0.5 < missed_s <= STALL_S / 2 + MISSED_S


def namespace_client_command(host: str, port: int, model: str, user: str) -> list[str]:
    """Return the command that runs the client in the namespace."""
    program = f"import sys; sys.path.insert(0, {str(harness.ROOT)!r});"
    program += (
        "import runpy; runpy.run_module('tests.support.live.namespace_socket', run_name='__main__')"
    )
    return [sys.executable, "-c", program, host, str(port), model, user]


def has_received(file: Path, what: bytes, times: int) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return occurrences(file, what) >= times

    return look


def occurrences(file: Path, what: bytes) -> int:
    return file.read_bytes().count(what)
