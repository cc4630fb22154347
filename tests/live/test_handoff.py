"""Replacing a server under load: no request is dropped, no stream cut, every turn recorded once."""

import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import h11
import pytest
import trio

from tests.live.client import QUESTION, Call, calling, chatting, fetch, following
from tests.live.frames import read_frames
from tests.live.harness import FULL, Process, Server, serving, until, write_config

CLIENTS, RESTARTS = (40, 10) if FULL else (20, 3)
SHORT, STREAMED, WHOLE = "short", "streamed", "whole"
KINDS = (SHORT, STREAMED, WHOLE, STREAMED)
MODEL = "up/v:first=20ms,delay=10ms,tokens=40"
JSON_TYPE = (("Content-Type", "application/json"),)


class Tally:
    """What became of the requests of all clients."""

    def __init__(self) -> None:
        self.answered = 0
        self.turns: list[str] = []
        self.dropped: list[str] = []
        self.goodbyes = 0


async def keep_asking(server: Server, kind: str, tally: Tally, enough: trio.Event) -> None:
    """Ask again and again, on one connection for as long as the server keeps it."""
    while not enough.is_set():
        try:
            async with calling(server.port) as call:
                await ask_while_it_lasts(call, kind, tally, enough)
        except (OSError, h11.RemoteProtocolError, AssertionError) as error:
            tally.dropped.append(f"{kind}: {error!r}")


async def ask_while_it_lasts(call: Call, kind: str, tally: Tally, enough: trio.Event) -> None:
    while not enough.is_set():
        await (ask_short(call) if kind == SHORT else ask_turn(call, kind, tally))
        tally.answered += 1
        if call.headers.get("connection") == "close":
            tally.goodbyes += 1
            return
        call.again()


async def ask_short(call: Call) -> None:
    await call.ask("GET", "/v1/models")
    assert await call.head() == 200
    await call.rest()
    assert call.whole


async def ask_turn(call: Call, kind: str, tally: Tally) -> None:
    body = {"model": MODEL, "messages": QUESTION, "stream": kind == STREAMED}
    await call.ask("POST", "/v1/chat/completions", json.dumps(body).encode(), JSON_TYPE)
    status = await call.head()
    got = await call.rest()
    assert status == 200, got
    assert call.whole, got[-100:]
    if kind == STREAMED:
        assert read_frames(got)[-1].data == b"[DONE]"
    tally.turns.append(call.turn_id)


@asynccontextmanager
async def under_load(server: Server, clients: int) -> AsyncIterator[Tally]:
    """Clients that ask all the time; all have their last answers when this is left."""
    tally, enough = Tally(), trio.Event()
    async with trio.open_nursery() as nursery:
        for number in range(clients):
            kind = KINDS[number % len(KINDS)]
            nursery.start_soon(keep_asking, server, kind, tally, enough)
        yield tally
        enough.set()


async def restart(server: Server) -> None:
    """Have all processes replaced; returns when the new ones serve and the old ones are gone."""
    served, ended = (len(server.logged(e)) for e in ("new processes serve", "process ended"))
    old = len(server.logged("process started")) - ended
    server.signal(signal.SIGHUP)

    async def replaced() -> bool:
        return (
            len(server.logged("new processes serve")) > served
            and len(server.logged("process ended")) >= ended + old
        )

    await until(replaced, 60)


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_rolling_restart_drops_nothing(
    tmp_path: Path, upstream: Process, processes: int
) -> None:
    restarts = RESTARTS if processes == 1 or FULL else 1
    config = write_config(tmp_path, upstream.port, "grace_s = 0\ndrain_s = 30\n")
    with serving(tmp_path, config, options=["--supervise", str(processes)]) as server:
        async with under_load(server, CLIENTS) as tally:
            await trio.sleep(0.5)
            for _ in range(restarts):
                await restart(server)
        server.signal(signal.SIGTERM)
        assert await server.ended() == 0
        rows = server.rows("SELECT id, status, reason FROM turns")
        codes = [line["code"] for line in server.logged("process ended")]
    print(f"{tally.answered} answered, {tally.goodbyes} goodbyes, dropped {tally.dropped}")  # noqa: T201
    assert tally.dropped == []
    assert tally.goodbyes >= restarts
    assert sorted(tally.turns) == sorted(str(row[0]) for row in rows)
    assert {row[1:] for row in rows} == {("completed", "stop")}
    assert codes == [0] * processes * (restarts + 1)


async def test_the_old_process_answers_and_says_goodbye(tmp_path: Path, upstream: Process) -> None:
    config = write_config(tmp_path, upstream.port, "grace_s = 0\ndrain_s = 30\n")
    with serving(tmp_path, config, options=["--supervise", "1"]) as server:
        async with chatting(server, "up/v:delay=20ms,tokens=200") as call:
            await call.head()
            await call.frames(3)
            turn_id = call.turn_id
            server.signal(signal.SIGHUP)
            await until(lambda: said(server, "draining"))
            async with following(server, turn_id) as elsewhere:
                assert elsewhere.status == 409
                assert b'"turn_elsewhere"' in await elsewhere.rest()
            await call.all_frames()
            assert "connection" not in call.headers, "it was open when the handoff began"
            call.again()
            await ask_turn(call, STREAMED, Tally())
            assert call.headers["connection"] == "close"
        server.signal(signal.SIGTERM)
        assert await server.ended() == 0


async def said(server: Server, event: str) -> bool:
    """Whether the log has a line of this event."""
    return bool(server.logged(event))


async def test_a_process_that_is_killed_is_replaced_and_its_turns_recorded(
    tmp_path: Path, upstream: Process
) -> None:
    config = write_config(tmp_path, upstream.port, "grace_s = 0\ndrain_s = 1\n")
    with serving(tmp_path, config, options=["--supervise", "1"]) as server:
        async with chatting(server, "up/v:delay=20ms,tokens=5000") as call:
            await call.head()
            await call.frames(3)
            await until(lambda: said(server, "process ready"))
            os.kill(process_ids(server)[0], signal.SIGKILL)
            await call.rest()
            assert not call.whole
        await until(lambda: ready_again(server, 2), 30)
        assert (await fetch(server, "/ready"))[0] == 200
        assert server.rows("SELECT status, reason FROM turns") == [("failed", "owner_lost")]
        assert len(server.logged("a process died")) == 1


async def ready_again(server: Server, times: int) -> bool:
    return len(server.logged("process ready")) >= times


def process_ids(server: Server) -> list[int]:
    """The processes that were started, oldest first."""
    return [int(str(line["process"])) for line in server.logged("process started")]


async def test_new_processes_that_do_not_start_change_nothing(
    tmp_path: Path, upstream: Process
) -> None:
    config = write_config(tmp_path, upstream.port, "grace_s = 0\n")
    good = config.read_text()
    with serving(tmp_path, config, options=["--supervise", "1"]) as server:
        await until(lambda: said(server, "process ready"))
        config.write_text("[server]\nbnd = 1\n")
        server.signal(signal.SIGHUP)
        await until(lambda: said(server, "a new process died: the old ones go on"))
        assert (await fetch(server, "/ready"))[0] == 200
        config.write_text(good)
        await restart(server)
        assert (await fetch(server, "/ready"))[0] == 200
        server.signal(signal.SIGTERM)
        assert await server.ended() == 0


async def test_children_drain_when_the_parent_is_killed(tmp_path: Path, upstream: Process) -> None:
    config = write_config(tmp_path, upstream.port, "grace_s = 0\ndrain_s = 30\n")
    with serving(tmp_path, config, options=["--supervise", "2"]) as server:
        await until(lambda: ready_again(server, 2))
        async with chatting(server, "up/v:delay=20ms,tokens=100") as call:
            await call.head()
            await call.frames(3)
            server.kill()
            frames = await call.all_frames()
        assert frames[-1].data == b"[DONE]"
        await until(lambda: gone(process_ids(server)))
        assert server.rows("SELECT status, reason FROM turns") == [("completed", "stop")]


async def gone(processes: list[int]) -> bool:
    """Whether none of these processes runs any more."""
    return not any(_runs(process) for process in processes)


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_two_signals_end_everything_and_record_it(tmp_path: Path, upstream: Process) -> None:
    config = write_config(tmp_path, upstream.port, "grace_s = 10\ndrain_s = 60\n")
    with serving(tmp_path, config, options=["--supervise", "2"]) as server:
        await until(lambda: ready_again(server, 2))
        async with chatting(server, "up/v:delay=20ms,tokens=5000") as call:
            await call.head()
            await call.frames(3)
            server.signal(signal.SIGINT)
            await until(lambda: said(server, "draining"))
            server.signal(signal.SIGINT)
            with trio.fail_after(5):
                await call.all_frames()
            assert await server.ended() == 0
        assert server.rows("SELECT status, reason FROM turns") == [
            ("incomplete", "server_shutdown")
        ]


def test_a_configuration_that_is_refused_ends_the_parent(tmp_path: Path, upstream: Process) -> None:
    config = write_config(tmp_path, upstream.port)
    text = config.read_text().replace("sqlite:///", "sqlite:////nowhere/")
    config.write_text(text)
    with (
        pytest.raises(AssertionError, match=r"it did not start:[^$]*trouper: ") as refused,
        serving(tmp_path, config, options=["--supervise", "2"]),
    ):
        pass
    assert "Traceback" not in str(refused.value)
