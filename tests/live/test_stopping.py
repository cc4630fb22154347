"""SIGTERM once and twice: nothing is cut without its end, nothing goes unrecorded."""

import signal
import socket
import time
from pathlib import Path

import pytest
import trio

from tests.live.client import calling, chatting, fetch
from tests.live.frames import Frame, error_of, text_of
from tests.live.harness import Process, Server, serving, until, write_config

LONG = "up/v:delay=20ms,tokens=5000"


def ends(server: Server) -> list[tuple[object, ...]]:
    """Status and reason of every turn, read from the database of a server that is gone."""
    return server.rows("SELECT status, reason FROM turns")


async def draining(server: Server) -> None:
    """Wait until the server says that it stops."""

    async def look() -> bool:
        return bool(server.logged("draining"))

    await until(look)


async def test_once_lets_streams_end_and_takes_no_new_ones(
    tmp_path: Path, upstream: Process
) -> None:
    config = write_config(tmp_path, upstream.port, "grace_s = 1\ndrain_s = 20\n")
    with serving(tmp_path, config) as server:
        async with chatting(server, "up/v:delay=20ms,tokens=80") as call:
            await call.head()
            await call.frames(3)
            server.signal(signal.SIGTERM)
            await draining(server)
            await check_refused(server)
            frames = await call.all_frames()
        assert frames[-1].data == b"[DONE]"
        assert await server.ended() == 0
        assert ends(server) == [("completed", "stop")]
        ((text,),) = server.rows("SELECT text FROM messages")
        assert text == text_of(frames)


async def check_refused(server: Server) -> None:
    """New turns get 503 for a while, and so do balancers that ask."""
    async with chatting(server, "up/v") as late:
        assert await late.head() == 503
        assert b'"code":"draining"' in await late.rest()
        assert int(late.headers["retry-after"]) >= 1
    assert (await fetch(server, "/ready"))[0] == 503
    assert (await fetch(server, "/health"))[0] == 200


@pytest.mark.parametrize("again", [True, False], ids=["twice", "once, and out of time"])
async def test_what_does_not_end_in_time_is_ended(
    tmp_path: Path, upstream: Process, again: bool
) -> None:
    drain_s = 60 if again else 0.2
    config = write_config(tmp_path, upstream.port, f"grace_s = 0\ndrain_s = {drain_s}\n")
    got: list[list[Frame]] = []
    with serving(tmp_path, config) as server:
        async with (
            trio.open_nursery() as nursery,
            chatting(server, LONG, stream=False) as whole,
            chatting(server, "up/v:silent") as silent,
        ):
            for _ in range(5):
                await nursery.start(stream, server, got)
            server.signal(signal.SIGTERM)
            await draining(server)
            if again:
                server.signal(signal.SIGTERM)
            began = time.monotonic()
            assert [await whole.head(), await silent.head()] == [503, 503]
        assert await server.ended() == 0
        assert time.monotonic() - began < 3
    assert [error_of(frames)["code"] for frames in got] == ["server_shutdown"] * 5
    assert ends(server) == [("incomplete", "server_shutdown")] * 7
    texts = {text for (text,) in server.rows("SELECT text FROM messages")}
    assert texts.issuperset(text_of(frames[:-1]) for frames in got)


async def stream(
    server: Server,
    got: list[list[Frame]],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Read a long stream to its end; started once some of it is here."""
    async with chatting(server, LONG) as call:
        await call.head()
        await call.frames(3)
        task_status.started()
        got.append(await call.all_frames())


async def test_idle_and_stalled_connections_do_not_delay_it(
    tmp_path: Path, upstream: Process
) -> None:
    config = write_config(tmp_path, upstream.port, "grace_s = 0\ndrain_s = 60\n")
    with (
        serving(tmp_path, config) as server,
        socket.create_connection(("127.0.0.1", server.port)),
    ):
        async with calling(server.port) as idle:
            await idle.ask("GET", "/health")
            await idle.head()
            await idle.rest()
            began = time.monotonic()
            server.signal(signal.SIGTERM)
            assert await server.ended() == 0
            assert time.monotonic() - began < 2


async def test_a_reader_that_stalls_does_not_delay_a_second_signal(
    tmp_path: Path, upstream: Process
) -> None:
    config = write_config(tmp_path, upstream.port, "grace_s = 0\ndrain_s = 60\n")
    flood = "up/v:delay=0,tokens=100000"
    with serving(tmp_path, config) as server:
        async with chatting(server, flood), chatting(server, LONG) as call:
            await call.head()
            await call.frames(3)
            server.signal(signal.SIGTERM)
            await draining(server)
            server.signal(signal.SIGTERM)
            began = time.monotonic()
            assert error_of(await call.all_frames())["code"] == "server_shutdown"
            assert await server.ended() == 0
            assert time.monotonic() - began < 5
    assert ("in_progress", None) not in ends(server)
