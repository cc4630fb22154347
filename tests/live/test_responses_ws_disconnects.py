"""Clients that leave a Responses WebSocket: upstream closes as soon as over HTTP.

Measured as in `tests.live.test_disconnects`. A client may also vanish without a word, or leave a
socket on which many responses had been told before.
"""

import os
import sys
import time
from collections.abc import Awaitable, Callable
from itertools import count, product
from pathlib import Path

import pytest

from tests.live import harness
from tests.live.far import far_machine
from tests.live.harness import FULL, Process, Server, until
from tests.live.socketing import LEAVINGS, LiveSocket, conversing
from tests.live.test_disconnects import (
    BOUND_S,
    POSITIONS,
    Disconnect,
    Position,
    check_record,
    figures,
    p,
    run_queue_wait,
    seen,
)
from tests.live.test_vanished_peers import closed_at, last_turn

EACH = 100 if FULL else 15
"""Disconnects of each kind."""
QUICK = "up/v:first=0,delay=0,tokens=5"
STALL_S = 5.0
MISSED_S = 6.0
STREAMS = {"streaming": "delay=20ms,tokens=20000", "silent": "delay=0,tokens=5000,stall=3"}

_numbers = count(1)


async def reach(position: Position, socket: LiveSocket, upstream: Process, user: str) -> str:
    """Wait until the response has come to the place; the text that was heard of it."""
    if position.reached is None:
        return await socket.hear_text(3)
    await seen(upstream, user, position.reached)
    return ""


async def leave_once(
    live: Server, upstream: Process, position: Position, how: str, *, busy: bool
) -> Disconnect:
    """Leave at this place and check the record; `busy` asks for another response before."""
    number = next(_numbers)
    model, user = f"up/ws{number}:{position.settings}", f"ws-leaver-{number}"
    pids = [live.pid, upstream.pid, os.getpid()]
    async with conversing(live, model) as socket:
        if busy:
            await socket.respond(model=QUICK, store=False)
        await socket.create(user=user)
        if busy:
            await socket.create()
        heard = await reach(position, socket, upstream, user)
        waited = run_queue_wait(pids)
        left_at = socket.leave(how)
        report = await seen(upstream, user, "closed_at")
        waited = run_queue_wait(pids) - waited
    await check_record(live, model, position, report, heard)
    assert isinstance(report["closed_at"], float)
    return Disconnect(report["closed_at"] - left_at, waited)


@pytest.mark.alone
@pytest.mark.parametrize("name", ["before upstream headers", "after headers", "mid-stream"])
async def test_upstream_closes_within_ten_milliseconds(
    live: Server, upstream: Process, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found: list[Disconnect] = []
    for _, how, busy in product(range(EACH), LEAVINGS, (False, True)):
        found += [await leave_once(live, upstream, POSITIONS[name], how, busy=busy)]
    with capsys.disabled():
        print(f"\nWebSocket, {name}: {figures(found)}")  # noqa: T201 (what the test is for)
    assert p(0.99, [disconnect.ours_s for disconnect in found]) < BOUND_S


@pytest.mark.parametrize("stream", STREAMS)
async def test_a_client_that_vanishes_is_missed(
    tmp_path: Path, upstream: Process, stream: str
) -> None:
    user = f"ws-{stream}"
    settings = (
        f"[limits]\nwrite_stall_s = {STALL_S}\n[timeouts]\nidle_s = 300\n"
        f"[turns]\nheartbeat_s = {STALL_S / 2}\n"
    )
    config = harness.write_config(tmp_path, upstream.port, settings)
    with far_machine() as far:
        wrapper = ("tests.live.bound", far.here)
        with harness.serving(tmp_path, config, wrapper=wrapper) as server:
            heard = tmp_path / "heard"
            client = far_client(far.here, server.port, f"up/v:{STREAMS[stream]}", user)
            with far.running(client, heard):
                await until(has_heard(heard, b"response.output_text.delta", 3))
                far.vanish()
                vanished_at = time.monotonic()
                server.host = far.here
                missed_s = await closed_at(upstream, user, MISSED_S + 5) - vanished_at
            found = await last_turn(server)
    assert 0.5 < missed_s <= MISSED_S
    assert (found["status"], found["reason"]) == ("incomplete", "client_disconnected")


async def test_an_idle_client_that_vanishes_is_missed(tmp_path: Path, upstream: Process) -> None:
    settings = f"[limits]\nwrite_stall_s = {STALL_S}\n[turns]\nheartbeat_s = {STALL_S / 2}\n"
    config = harness.write_config(tmp_path, upstream.port, settings)
    with far_machine() as far:
        wrapper = ("tests.live.bound", far.here)
        with harness.serving(tmp_path, config, wrapper=wrapper) as server:
            heard = tmp_path / "heard"
            with far.running(far_client(far.here, server.port, "", ""), heard):
                await until(has_heard(heard, b"connected", 1))
                far.vanish()
                vanished_at = time.monotonic()

                async def missed() -> bool:
                    return bool(server.logged("client_vanished") or server.logged("request"))

                await until(missed, MISSED_S + STALL_S)
                missed_s = time.monotonic() - vanished_at
    assert 0.5 < missed_s <= STALL_S / 2 + MISSED_S


def far_client(host: str, port: int, model: str, user: str) -> list[str]:
    """The command of the client there."""
    program = f"import sys; sys.path.insert(0, {str(harness.ROOT)!r});"
    program += "import runpy; runpy.run_module('tests.live.far_socket', run_name='__main__')"
    return [sys.executable, "-c", program, host, str(port), model, user]


def has_heard(file: Path, what: bytes, times: int) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return occurrences(file, what) >= times

    return look


def occurrences(file: Path, what: bytes) -> int:
    return file.read_bytes().count(what)
