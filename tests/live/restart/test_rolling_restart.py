"""Rolling restarts under load: no request dropped, no stream cut, every turn recorded once."""

import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import h11
import pytest
import trio

from tests.support.live.harness import Process, Server, serving, until, write_config
from tests.support.live.http_client import (
    QUESTION,
    Call,
    calling,
    fetch,
    open_chat,
    open_turn_events,
)
from tests.support.live.sse_frames import read_frames
from tests.support.sizes import FULL

CLIENTS, RESTARTS = (40, 10) if FULL else (8, 2)
SHORT, STREAMED, WHOLE = "short", "streamed", "whole"
KINDS = (SHORT, STREAMED, WHOLE, STREAMED)
MODEL = "up/v:first=20ms,delay=10ms,tokens=40"
JSON_TYPE = (("Content-Type", "application/json"),)


class LoadResult:
    """Results of the requests of all clients."""

    def __init__(self) -> None:
        self.answered = 0
        self.turns: list[str] = []
        self.dropped: list[str] = []
        self.closed_connections = 0


async def run_client(server: Server, kind: str, result: LoadResult, stop: trio.Event) -> None:
    """Send requests until `stop`, on a new connection whenever the server closes one."""
    while not stop.is_set():
        try:
            async with calling(server.port) as call:
                await use_connection(call, kind, result, stop)
        except (OSError, h11.RemoteProtocolError, AssertionError) as error:
            result.dropped.append(f"{kind}: {error!r}")


async def use_connection(call: Call, kind: str, result: LoadResult, stop: trio.Event) -> None:
    while not stop.is_set():
        await (request_models(call) if kind == SHORT else request_turn(call, kind, result))
        result.answered += 1
        if call.headers.get("connection") == "close":
            result.closed_connections += 1
            return
        call.reuse()


async def request_models(call: Call) -> None:
    await call.request("GET", "/v1/models")
    assert await call.head() == 200
    await call.read_all()
    assert call.complete


async def request_turn(call: Call, kind: str, result: LoadResult) -> None:
    body = {"model": MODEL, "messages": QUESTION, "stream": kind == STREAMED}
    await call.request("POST", "/v1/chat/completions", json.dumps(body).encode(), JSON_TYPE)
    status = await call.head()
    got = await call.read_all()
    assert status == 200, got
    assert call.complete, got[-100:]
    if kind == STREAMED:
        assert read_frames(got)[-1].data == b"[DONE]"
    result.turns.append(call.turn_id)


@asynccontextmanager
async def under_load(server: Server, clients: int) -> AsyncIterator[LoadResult]:
    """Run clients that keep sending requests; leave after all have their last response."""
    result, stop = LoadResult(), trio.Event()
    async with trio.open_nursery() as nursery:
        for number in range(clients):
            kind = KINDS[number % len(KINDS)]
            nursery.start_soon(run_client, server, kind, result, stop)
        yield result
        stop.set()


async def restart(server: Server) -> None:
    """Replace all processes; return when the new ones serve and the old ones are gone."""
    served, ended = (len(server.logged(e)) for e in ("reload finished", "process ended"))
    old = len(server.logged("process started")) - ended
    server.signal(signal.SIGHUP)

    async def replaced() -> bool:
        return (
            len(server.logged("reload finished")) > served
            and len(server.logged("process ended")) >= ended + old
        )

    await until(replaced, 60)


@pytest.mark.parametrize(
    "processes",
    [pytest.param(count, marks=[pytest.mark.alone] if FULL else []) for count in (1, 2)],
)
async def test_rolling_restart_drops_no_request(
    tmp_path: Path, upstream: Process, processes: int
) -> None:
    restarts = RESTARTS if processes == 1 or FULL else 1
    config = write_config(tmp_path, upstream.port, "grace_s = 0\ndrain_s = 30\n")
    with serving(tmp_path, config, options=["--supervise", str(processes)]) as server:
        async with under_load(server, CLIENTS) as result:
            await trio.sleep(0.5)
            for _ in range(restarts):
                await restart(server)
        server.signal(signal.SIGTERM)
        assert await server.wait() == 0
        rows = server.rows("SELECT id, status, reason FROM turns")
        codes = [line["code"] for line in server.logged("process ended")]
    print(  # noqa: T201 (reports the measurement)
        f"{result.answered} answered, {result.closed_connections} connections closed,"
        f" dropped {result.dropped}"
    )
    assert result.dropped == []
    assert result.closed_connections >= restarts
    assert sorted(result.turns) == sorted(str(row[0]) for row in rows)
    assert {row[1:] for row in rows} == {("completed", "stop")}
    assert codes == [0] * processes * (restarts + 1)


async def test_old_process_finishes_streams_and_then_closes_connections(
    tmp_path: Path, upstream: Process
) -> None:
    config = write_config(tmp_path, upstream.port, "grace_s = 0\ndrain_s = 30\n")
    with serving(tmp_path, config, options=["--supervise", "1"]) as server:
        # The stream must outlast the start of the new process: 1 s, or 9 s without a free CPU.
        async with open_chat(server, "up/v:delay=20ms,tokens=800") as call:
            await call.head()
            await call.frames(3)
            turn_id = call.turn_id
            server.signal(signal.SIGHUP)
            await until(lambda: has_logged(server, "drain started"))
            async with open_turn_events(server, turn_id) as elsewhere:
                assert elsewhere.status == 409
                assert b'"turn_elsewhere"' in await elsewhere.read_all()
            await call.all_frames()
            assert "connection" not in call.headers, (
                "the headers were sent before the handoff began"
            )
            call.reuse()
            await request_turn(call, STREAMED, LoadResult())
            assert call.headers["connection"] == "close"
        server.signal(signal.SIGTERM)
        assert await server.wait() == 0


async def has_logged(server: Server, event: str) -> bool:
    """Return True if the log has a line of this event."""
    return bool(server.logged(event))


async def test_killed_process_is_replaced_and_its_turns_are_recorded(
    tmp_path: Path, upstream: Process
) -> None:
    config = write_config(tmp_path, upstream.port, "grace_s = 0\ndrain_s = 1\n")
    with serving(tmp_path, config, options=["--supervise", "1"]) as server:
        async with open_chat(server, "up/v:delay=20ms,tokens=5000") as call:
            await call.head()
            await call.frames(3)
            await until(lambda: has_logged(server, "process ready"))
            os.kill(process_ids(server)[0], signal.SIGKILL)
            await call.read_all()
            assert not call.complete
        await until(lambda: have_started(server, 2), 30)
        assert (await fetch(server, "/ready"))[0] == 200
        assert server.rows("SELECT status, reason FROM turns") == [("failed", "owner_lost")]
        assert len(server.logged("process died")) == 1


async def have_started(server: Server, times: int) -> bool:
    return len(server.logged("process ready")) >= times


def process_ids(server: Server) -> list[int]:
    """Return the pids of all processes started so far, oldest first."""
    return [int(str(line["process"])) for line in server.logged("process started")]


async def test_failed_start_of_new_processes_keeps_the_old_ones(
    tmp_path: Path, upstream: Process
) -> None:
    config = write_config(tmp_path, upstream.port, "grace_s = 0\n")
    good = config.read_text()
    with serving(tmp_path, config, options=["--supervise", "1"]) as server:
        await until(lambda: has_logged(server, "process ready"))
        config.write_text("[server]\nbnd = 1\n")
        server.signal(signal.SIGHUP)
        await until(lambda: has_logged(server, "reload failed"))
        assert (await fetch(server, "/ready"))[0] == 200
        config.write_text(good)
        await restart(server)
        assert (await fetch(server, "/ready"))[0] == 200
        server.signal(signal.SIGTERM)
        assert await server.wait() == 0


async def test_children_drain_when_the_supervisor_is_killed(
    tmp_path: Path, upstream: Process
) -> None:
    config = write_config(tmp_path, upstream.port, "grace_s = 0\ndrain_s = 30\n")
    with serving(tmp_path, config, options=["--supervise", "2"]) as server:
        await until(lambda: have_started(server, 2))
        async with open_chat(server, "up/v:delay=20ms,tokens=100") as call:
            await call.head()
            await call.frames(3)
            server.kill()
            frames = await call.all_frames()
        assert frames[-1].data == b"[DONE]"
        await until(lambda: all_exited(process_ids(server)))
        assert server.rows("SELECT status, reason FROM turns") == [("completed", "stop")]


async def all_exited(processes: list[int]) -> bool:
    """Return True if none of these processes is running."""
    return not any(_runs(process) for process in processes)


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_second_signal_ends_all_turns_and_records_them(
    tmp_path: Path, upstream: Process
) -> None:
    config = write_config(tmp_path, upstream.port, "grace_s = 10\ndrain_s = 60\n")
    with serving(tmp_path, config, options=["--supervise", "2"]) as server:
        await until(lambda: have_started(server, 2))
        async with open_chat(server, "up/v:delay=20ms,tokens=5000") as call:
            await call.head()
            await call.frames(3)
            server.signal(signal.SIGINT)
            await until(lambda: has_logged(server, "drain started"))
            server.signal(signal.SIGINT)
            with trio.fail_after(5):
                await call.all_frames()
            assert await server.wait() == 0
        assert server.rows("SELECT status, reason FROM turns") == [
            ("incomplete", "server_shutdown")
        ]


def test_refused_configuration_ends_the_supervisor(tmp_path: Path, upstream: Process) -> None:
    config = write_config(tmp_path, upstream.port)
    text = config.read_text().replace("sqlite:///", "sqlite:////nowhere/")
    config.write_text(text)
    with (
        pytest.raises(AssertionError, match=r"the process did not start:[^$]*trouper: ") as refused,
        serving(tmp_path, config, options=["--supervise", "2"]),
    ):
        pass
    assert "Traceback" not in str(refused.value)
