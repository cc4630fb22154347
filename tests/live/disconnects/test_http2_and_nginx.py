"""Client disconnects over HTTP/2 and through nginx, within the bound for HTTP/1.1.

Measured as in `tests.live.disconnects.test_disconnects`; the time that nginx takes is included.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count, product
from pathlib import Path
from typing import Protocol

import pytest

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
from tests.support.live.h2_client import H2Call, open_h2_chat
from tests.support.live.harness import Process, Server
from tests.support.live.http_client import open_chat
from tests.support.live.nginx import nginx
from tests.support.live.sse_frames import Frame, read_frames, text_of
from tests.support.sizes import FULL

REPEATS = 100 if FULL else 8
"""Disconnects of each kind."""

_numbers = count(1)


class StreamingCall(Protocol):
    """The interface shared by the HTTP/1.1 and HTTP/2 calls."""

    body: bytearray

    async def head(self) -> int: ...

    async def frames(self, count: int) -> list[Frame]: ...


class Setup:
    """A server, the simulated provider, and the pids whose CPU waits count."""

    def __init__(self, server: Server, upstream: Process) -> None:
        self.server = server
        self.upstream = upstream
        self.pids = [server.pid, upstream.pid, os.getpid()]

    async def reach_position(self, position: Position, call: StreamingCall, user: str) -> None:
        """Wait until the call has reached the position."""
        if position.reached is None:
            await call.head()
            await call.frames(3)
        else:
            await wait_for_report(self.upstream, user, position.reached)

    async def measure(
        self,
        position: Position,
        model: str,
        user: str,
        body: bytearray,
        disconnected: "DisconnectTime",
    ) -> Disconnect:
        """Return the latency of a disconnect, after checking the record."""
        report = await wait_for_report(self.upstream, user, "closed_at")
        waited = cpu_wait_s(self.pids) - disconnected.waited_s
        received = text_of(read_frames(bytes(body), allow_partial=True))
        await check_record(self.server, model, position, report, received)
        assert isinstance(report["closed_at"], float)
        return Disconnect(report["closed_at"] - disconnected.at, waited)

    def assert_within_bound(
        self, what: str, found: list[Disconnect], capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Print the percentiles and assert the bound."""
        with capsys.disabled():
            print(f"\n{what}: {format_latencies(found)}")  # noqa: T201 (reports the measurement)
        assert percentile(0.99, [disconnect.own_s for disconnect in found]) < BOUND_S


class DisconnectTime:
    """Time of a disconnect, and the processes' total CPU wait before it, in seconds."""

    def __init__(self, at: float, waited_s: float) -> None:
        self.at = at
        self.waited_s = waited_s


@asynccontextmanager
async def running_setup(directory: Path, upstream: Process) -> AsyncIterator[Setup]:
    settings = "http2 = true\ngrace_s = 0\ndrain_s = 1\n"
    config = harness.write_config(directory, upstream.port, settings)
    with harness.serving(directory, config) as server:
        yield Setup(server, upstream)


def unique_names(position: Position) -> tuple[str, str]:
    """Return a unique model and user."""
    number = next(_numbers)
    return f"up/e{number}:{position.settings}", f"elsewhere-{number}"


@pytest.mark.alone
@pytest.mark.parametrize("name", POSITIONS)
async def test_http2_disconnect_closes_upstream_within_10_ms(
    tmp_path: Path, upstream: Process, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    position, found = POSITIONS[name], []
    async with running_setup(tmp_path, upstream) as setup:
        for _, how in product(range(REPEATS), ("reset", "close")):
            model, user = unique_names(position)
            async with open_h2_chat(setup.server, model, stream=position.stream, user=user) as call:
                await setup.reach_position(position, call, user)
                waited = cpu_wait_s(setup.pids)
                disconnected = DisconnectTime(await call.disconnect(how), waited)
                found.append(await setup.measure(position, model, user, call.body, disconnected))
        setup.assert_within_bound(f"HTTP/2, {name}", found, capsys)


@pytest.mark.alone
@pytest.mark.parametrize("name", POSITIONS)
async def test_disconnect_behind_nginx_closes_upstream_within_10_ms(
    tmp_path: Path, upstream: Process, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    position, found = POSITIONS[name], []
    async with running_setup(tmp_path, upstream) as setup:
        with nginx(tmp_path, setup.server.port) as proxy:
            setup.pids += proxy.pids
            for _, how in product(range(REPEATS), ("fin", "rst")):
                model, user = unique_names(position)
                async with open_chat(proxy, model, stream=position.stream, user=user) as call:
                    await setup.reach_position(position, call, user)
                    waited = cpu_wait_s(setup.pids)
                    disconnected = DisconnectTime(call.disconnect(how), waited)
                    found.append(
                        await setup.measure(position, model, user, call.body, disconnected)
                    )
        setup.assert_within_bound(f"nginx, {name}", found, capsys)


async def read_after_goaway(call: H2Call) -> list[Frame]:
    await call.frames(3)
    await call.send_goaway()
    return await call.all_frames()


async def test_client_that_sent_goaway_gets_the_rest(tmp_path: Path, upstream: Process) -> None:
    """RFC 9113 §6.8: GOAWAY stops new streams, not those in progress."""
    model = "up/v:first=0,delay=20ms,tokens=50"
    async with (
        running_setup(tmp_path, upstream) as setup,
        open_h2_chat(setup.server, model, user="goaway") as call,
    ):
        frames = await read_after_goaway(call)
        assert frames[-1].data == b"[DONE]"
        assert await call.server_closed(), "the server closes the connection after the last stream"
        async with open_h2_chat(setup.server, model, user="stays") as other:
            assert text_of(await other.all_frames()) == text_of(frames)
