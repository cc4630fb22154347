"""SIGTERM, once and twice: streams get a proper end and every turn is recorded."""

import signal
import socket
import time
from pathlib import Path

import pytest
import trio

from tests.support.live.harness import Process, Server, serving, until, write_config
from tests.support.live.http_client import calling, fetch, open_chat
from tests.support.live.sse_frames import Frame, error_of, text_of

LONG = "up/v:delay=20ms,tokens=5000"


def outcomes(server: Server) -> list[tuple[object, ...]]:
    """Return status and reason of every turn in the database."""
    return server.rows("SELECT status, reason FROM turns")


async def draining(server: Server) -> None:
    """Wait until the server logs that it is draining."""

    async def look() -> bool:
        return bool(server.logged("drain started"))

    await until(look)


async def test_sigterm_lets_streams_finish_and_refuses_new_turns(
    tmp_path: Path, upstream: Process
) -> None:
    config = write_config(tmp_path, upstream.port, "grace_s = 1\ndrain_s = 20\n")
    with serving(tmp_path, config) as server:
        async with open_chat(server, "up/v:delay=20ms,tokens=80") as call:
            await call.head()
            await call.frames(3)
            server.signal(signal.SIGTERM)
            await draining(server)
            await check_refused(server)
            frames = await call.all_frames()
        assert frames[-1].data == b"[DONE]"
        assert await server.wait() == 0
        assert outcomes(server) == [("completed", "stop")]
        ((text,),) = server.rows("SELECT text FROM messages")
        assert text == text_of(frames)


async def check_refused(server: Server) -> None:
    """Assert that new turns and the readiness check get 503."""
    async with open_chat(server, "up/v") as late:
        assert await late.head() == 503
        assert b'"code":"draining"' in await late.read_all()
        assert int(late.headers["retry-after"]) >= 1
    assert (await fetch(server, "/ready"))[0] == 503
    assert (await fetch(server, "/health"))[0] == 200


@pytest.mark.parametrize("second_signal", [True, False], ids=["second signal", "drain timeout"])
async def test_remaining_turns_end_at_a_second_signal_or_the_drain_timeout(
    tmp_path: Path, upstream: Process, second_signal: bool
) -> None:
    drain_s = 60 if second_signal else 0.2
    config = write_config(tmp_path, upstream.port, f"grace_s = 0\ndrain_s = {drain_s}\n")
    streams: list[list[Frame]] = []
    with serving(tmp_path, config) as server:
        async with (
            trio.open_nursery() as nursery,
            open_chat(server, LONG, stream=False) as whole,
            open_chat(server, "up/v:silent") as silent,
        ):
            for _ in range(5):
                await nursery.start(stream, server, streams)
            server.signal(signal.SIGTERM)
            await draining(server)
            if second_signal:
                server.signal(signal.SIGTERM)
            began = time.monotonic()
            assert [await whole.head(), await silent.head()] == [503, 503]
        assert await server.wait() == 0
        assert time.monotonic() - began < 3
    assert [error_of(frames)["code"] for frames in streams] == ["server_shutdown"] * 5
    assert outcomes(server) == [("incomplete", "server_shutdown")] * 7
    texts = {text for (text,) in server.rows("SELECT text FROM messages")}
    assert texts.issuperset(text_of(frames[:-1]) for frames in streams)


async def stream(
    server: Server,
    streams: list[list[Frame]],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Read a long stream to its end; report `started` after the first frames."""
    async with open_chat(server, LONG) as call:
        await call.head()
        await call.frames(3)
        task_status.started()
        streams.append(await call.all_frames())


async def test_idle_connections_do_not_delay_shutdown(tmp_path: Path, upstream: Process) -> None:
    config = write_config(tmp_path, upstream.port, "grace_s = 0\ndrain_s = 60\n")
    with (
        serving(tmp_path, config) as server,
        socket.create_connection(("127.0.0.1", server.port)),
    ):
        async with calling(server.port) as idle:
            await idle.request("GET", "/health")
            await idle.head()
            await idle.read_all()
            began = time.monotonic()
            server.signal(signal.SIGTERM)
            assert await server.wait() == 0
            assert time.monotonic() - began < 2


async def test_stalled_reader_does_not_delay_shutdown_after_a_second_signal(
    tmp_path: Path, upstream: Process
) -> None:
    config = write_config(tmp_path, upstream.port, "grace_s = 0\ndrain_s = 60\n")
    flood = "up/v:delay=0,tokens=100000"
    with serving(tmp_path, config) as server:
        async with open_chat(server, flood), open_chat(server, LONG) as call:
            await call.head()
            await call.frames(3)
            server.signal(signal.SIGTERM)
            await draining(server)
            server.signal(signal.SIGTERM)
            began = time.monotonic()
            assert error_of(await call.all_frames())["code"] == "server_shutdown"
            assert await server.wait() == 0
            assert time.monotonic() - began < 5
    assert ("in_progress", None) not in outcomes(server)
