"""HTTP server on real sockets: prompt disconnect detection, limits, pipelining and draining."""

import errno
import itertools
import os
import socket
import statistics
from contextlib import AsyncExitStack

import pytest
import trio

from tests.support.live.server_app import GET, RunningServer, serving
from web.server import ServerSettings

REPEATS = 20
BURST = 200
CLOSE_KINDS = ["fin", "rst", "half"]
STAGES = ["before_headers", "silent", "streaming"]
EXTRAS = {"none": b"", "pipelined": GET % b"/", "crlf": b"\r\n"}


@pytest.mark.alone
@pytest.mark.parametrize(("stage", "extra"), list(itertools.product(STAGES, EXTRAS)))
@pytest.mark.parametrize("how", CLOSE_KINDS)
async def test_disconnect_is_detected_promptly(how: str, stage: str, extra: str) -> None:
    async with serving(ServerSettings()) as served:
        with trio.fail_after(20):  # noqa: ASYNC100 (the comprehension awaits)
            times = [
                await _time_to_notice(served, how, stage, EXTRAS[extra]) for _ in range(REPEATS)
            ]
        assert served.app.live == 0
    p50, worst = statistics.median(times), max(times)
    print(f"{how} {stage} {extra}: p50 {p50 * 1e3:.1f} ms, max {worst * 1e3:.1f} ms")  # noqa: T201
    assert p50 < 0.02
    assert worst < 0.5, "a busy machine may delay it, but a stall would take seconds"


async def _time_to_notice(served: RunningServer, how: str, stage: str, extra: bytes) -> float:
    async with served.client() as client:
        await client.send(GET % f"/turn/{stage}".encode())
        await served.app.started.receive()
        if stage != "before_headers":
            await client.read_until(b"first")
        if extra:
            await client.send(extra)
            await trio.testing.wait_all_tasks_blocked(0.001)
        left_at = trio.current_time()
        client.disconnect(how)
        return await served.app.ended.receive() - left_at


async def test_burst_of_connections_is_served_in_arrival_order() -> None:
    async with serving(ServerSettings()) as served, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(served.client()) for _ in range(BURST)]
        for client in clients:
            client.sock.send(GET % b"/")
        with trio.fail_after(20):
            assert await clients[0].read_until(b'{"a":1}')
            assert served.server.counters.connections < BURST / 2
            assert await clients[-1].read_until(b'{"a":1}')
            assert served.server.counters.connections == BURST


class FaultyListener(socket.socket):
    """A listener whose next `accept` closes the connection and fails with `fault`."""

    fault = 0

    def accept(self) -> tuple[socket.socket, object]:
        sock, address = super().accept()
        if not self.fault:
            return sock, address
        fault, self.fault = self.fault, 0
        sock.close()
        raise OSError(fault, os.strerror(fault))


@pytest.mark.parametrize(
    "name", ["ECONNABORTED", "EPERM", "EPROTO", "ENETDOWN", "ETIMEDOUT", "EHOSTUNREACH", "EMFILE"]
)
async def test_failed_accept_does_not_affect_later_connections(name: str) -> None:
    listener = FaultyListener()
    listener.fault = getattr(errno, name)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    async with serving(ServerSettings(), [listener]) as served, served.client() as lost:
        with trio.fail_after(5):
            assert await lost.receive() == b""
            assert b" 200 " in await served.get()
    assert served.server.counters.connections == 1


async def test_stalled_reader_is_dropped_after_write_stall_s() -> None:
    settings = ServerSettings(write_stall_s=1.5)
    async with serving(settings) as served, served.client(receive_buffer=4096) as client:
        with trio.fail_after(10):
            await client.send(GET % b"/turn/flood")
            began = trio.current_time()
            freed = await served.app.ended.receive() - began
    assert 1.2 < freed < 3.5


async def test_slow_reader_is_not_treated_as_stalled() -> None:
    settings = ServerSettings(write_stall_s=1)
    async with serving(settings) as served, served.client(receive_buffer=65536) as client:
        await client.send(GET % b"/turn/flood")
        with trio.move_on_after(3):
            while await client.receive():  # noqa: ASYNC110  # reading slowly is the point
                await trio.sleep(0.2)
        assert served.app.live == 1
        assert served.server.counters.write_stalls == 0


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with serving(ServerSettings()) as served, served.client() as client:
        with trio.fail_after(5):
            await client.send(GET % b"/stream" + GET % b"/" + GET % b"/stream?n=1")
            answers = await client.read_until(b"data: 0\n\n\r\n0\r\n\r\n")
            while answers.count(b"\r\n0\r\n\r\n") < 2:
                answers += await client.receive()
    assert answers.count(b"HTTP/1.1 200") == 3
    assert answers.index(b"data: 4") < answers.index(b'{"a":1}') < answers.rindex(b"data: 0")


async def test_pipelining_beyond_the_limit_disconnects_the_client() -> None:
    async with serving(ServerSettings(pipelined_bytes=10_000)) as served:
        async with served.client() as client:
            with trio.fail_after(5):
                await client.send(GET % b"/turn/silent")
                await served.app.started.receive()
                await client.read_until(b"first")
                for _ in range(40):
                    await client.send((GET % b"/") * 20)
                    await trio.testing.wait_all_tasks_blocked(0.001)
                    if served.server.counters.pipelining_overflows:
                        break
                await served.app.ended.receive()
        assert served.server.counters.pipelining_overflows == 1


async def test_idle_connection_times_out() -> None:
    settings = ServerSettings(keep_alive_s=0.3)
    async with serving(settings) as served, served.client() as client:
        await client.send(GET % b"/")
        await client.read_until(b"}")
        began = trio.current_time()
        with trio.fail_after(5):
            assert await client.read_all() in {b"\n", b""}
    assert 0.25 < trio.current_time() - began < 1.5


async def test_drain_does_not_wait_for_an_idle_connection() -> None:
    async with serving(ServerSettings()) as served, served.client() as client:
        await client.send(GET % b"/")
        await client.read_until(b"}")
        began = trio.current_time()
        assert await served.server.drain(5) == 0
        assert trio.current_time() - began < 0.1


async def test_draining_lets_a_stream_finish() -> None:
    left: list[int] = []
    async with serving(ServerSettings()) as served, served.client() as client:
        with trio.fail_after(5):
            await client.send(GET % b"/stream?n=20")
            got = await client.read_until(b"data: 1\n")
            async with trio.open_nursery() as nursery:

                async def drain() -> None:
                    left.append(await served.server.drain(5))

                nursery.start_soon(drain)
                got += await client.read_all()
                client.close()
        with pytest.raises(ConnectionRefusedError):
            async with served.client():
                pass
    assert got.endswith(b"data: 19\n\n\r\n0\r\n\r\n")
    assert left == [0]


async def test_streams_left_after_draining_are_cut() -> None:
    async with serving(ServerSettings()) as served, served.client() as client:
        with trio.fail_after(5):
            await client.send(GET % b"/turn/silent")
            await client.read_until(b"first")
            assert await served.server.drain(0.1) == 1
            served.server.close_all()
            assert b"0\r\n" not in await client.read_all(), (
                "the end must not look like a complete response"
            )
            await served.app.ended.receive()
    assert served.server.counters.open == 0


async def test_client_sees_413_while_uploading_a_large_body() -> None:
    async with serving(ServerSettings()) as served:
        served.app.quart.config["MAX_CONTENT_LENGTH"] = 1000
        async with served.client() as client, trio.open_nursery() as nursery:
            size = 3_000_000
            head = b"POST /length HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n" % size

            async def upload() -> None:
                try:
                    await client.send(head + b"x" * size)
                except OSError:
                    return

            nursery.start_soon(upload)
            with trio.fail_after(5):
                assert b" 413 " in await client.read_until(b"\r\n\r\n")
            nursery.cancel_scope.cancel()


async def test_large_body_arrives_complete() -> None:
    settings = ServerSettings(pipelined_bytes=70_000)
    async with serving(settings) as served, served.client() as client:
        size = 15_000_000
        head = b"POST /length HTTP/1.0\r\nHost: t\r\nContent-Length: %d\r\n\r\n" % size
        with trio.fail_after(10):
            await client.send(head + b"x" * size)
            assert (await client.read_all()).endswith(b"15000000")


async def test_connection_beyond_the_limit_gets_503() -> None:
    async with serving(ServerSettings(max_connections=1)) as served, served.client() as first:
        await first.send(GET % b"/")
        await first.read_until(b"}")
        with trio.fail_after(5):
            assert b" 503 " in await served.get()
        first.close()
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert b" 200 " in await served.get()
        assert served.server.counters.connections_refused == 1


async def test_broken_http10_response_is_reset() -> None:
    """An HTTP/1.0 response ends with the connection, so a plain close would look complete."""
    async with serving(ServerSettings()) as served, served.client() as client:
        with trio.fail_after(5):
            await client.send(b"GET /turn/broken HTTP/1.0\r\n\r\n")
            await trio.lowlevel.wait_readable(client.sock)
            await served.app.ended.receive()
            with pytest.raises(ConnectionResetError):
                await client.read_all(resets=True)


async def test_a_thousand_concurrent_streams() -> None:
    async with serving(ServerSettings()) as served, trio.open_nursery() as nursery:
        opened = trio.CapacityLimiter(1000)
        done = trio.Event()
        begun, ready = trio.open_memory_channel[bytes](1000)

        async def one() -> None:
            async with opened, served.client() as client:
                await client.send(GET % b"/turn/silent")
                begun.send_nowait(await client.read_until(b"first"))
                await done.wait()

        with trio.fail_after(30):
            for _ in range(1000):
                nursery.start_soon(one)
            heads = [await ready.receive() for _ in range(1000)]
            assert served.app.live == 1000
            assert all(b" 200 " in head for head in heads)
            done.set()
            for _ in range(1000):
                await served.app.ended.receive()
    assert served.server.counters.open == 0
