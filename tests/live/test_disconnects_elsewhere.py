"""Clients that leave over HTTP/2, and from behind nginx: as soon as over plain HTTP/1.1.

Measured as in `tests.live.test_disconnects`; nginx's own time is in it, too.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count, product
from pathlib import Path
from typing import Protocol

import pytest

from tests.live import harness
from tests.live.client import chatting
from tests.live.frames import Frame, read_frames, text_of
from tests.live.h2_client import H2Call, h2_chatting
from tests.live.harness import FULL, Process, Server
from tests.live.nginx import nginx
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

EACH = 100 if FULL else 15
"""Disconnects of each kind."""

_numbers = count(1)


class Asking(Protocol):
    """What both clients have."""

    body: bytearray

    async def head(self) -> int: ...

    async def frames(self, count: int) -> list[Frame]: ...


class Stage:
    """A server, a witness, and whatever stands between client and server."""

    def __init__(self, server: Server, upstream: Process) -> None:
        self.server = server
        self.upstream = upstream
        self.pids = [server.pid, upstream.pid, os.getpid()]

    async def reach(self, position: Position, call: Asking, user: str) -> None:
        """Wait until the call has come to the place."""
        if position.reached is None:
            await call.head()
            await call.frames(3)
        else:
            await seen(self.upstream, user, position.reached)

    async def note(
        self, position: Position, model: str, user: str, body: bytearray, left: "Leaving"
    ) -> Disconnect:
        """When the witness saw it; checks the record."""
        report = await seen(self.upstream, user, "closed_at")
        waited = run_queue_wait(self.pids) - left.waited_s
        received = text_of(read_frames(bytes(body), cut=True))
        await check_record(self.server, model, position, report, received)
        assert isinstance(report["closed_at"], float)
        return Disconnect(report["closed_at"] - left.at, waited)

    def judge(self, what: str, found: list[Disconnect], capsys: pytest.CaptureFixture[str]) -> None:
        """Print the figures; fails above the bound."""
        with capsys.disabled():
            print(f"\n{what}: {figures(found)}")  # noqa: T201 (what the test is for)
        assert p(0.99, [disconnect.ours_s for disconnect in found]) < BOUND_S


class Leaving:
    """When a client left, and how long nobody had had a CPU before."""

    def __init__(self, at: float, waited_s: float) -> None:
        self.at = at
        self.waited_s = waited_s


@asynccontextmanager
async def staged(directory: Path, upstream: Process) -> AsyncIterator[Stage]:
    settings = "http2 = true\ngrace_s = 0\ndrain_s = 1\n"
    config = harness.write_config(directory, upstream.port, settings)
    with harness.serving(directory, config) as server:
        yield Stage(server, upstream)


def called(position: Position) -> tuple[str, str]:
    """A model and a user that nobody else has."""
    number = next(_numbers)
    return f"up/e{number}:{position.settings}", f"elsewhere-{number}"


@pytest.mark.alone
@pytest.mark.parametrize("name", POSITIONS)
async def test_over_http2(
    tmp_path: Path, upstream: Process, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    position, found = POSITIONS[name], []
    async with staged(tmp_path, upstream) as stage:
        for _, how in product(range(EACH), ("reset", "close")):
            model, user = called(position)
            async with h2_chatting(stage.server, model, stream=position.stream, user=user) as call:
                await stage.reach(position, call, user)
                waited = run_queue_wait(stage.pids)
                left = Leaving(await call.leave(how), waited)
                found.append(await stage.note(position, model, user, call.body, left))
        stage.judge(f"HTTP/2, {name}", found, capsys)


@pytest.mark.alone
@pytest.mark.parametrize("name", POSITIONS)
async def test_behind_nginx(
    tmp_path: Path, upstream: Process, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    position, found = POSITIONS[name], []
    async with staged(tmp_path, upstream) as stage:
        with nginx(tmp_path, stage.server.port) as proxy:
            stage.pids += proxy.pids
            for _, how in product(range(EACH), ("fin", "rst")):
                model, user = called(position)
                async with chatting(proxy, model, stream=position.stream, user=user) as call:
                    await stage.reach(position, call, user)
                    waited = run_queue_wait(stage.pids)
                    left = Leaving(call.leave(how), waited)
                    found.append(await stage.note(position, model, user, call.body, left))
        stage.judge(f"nginx, {name}", found, capsys)


async def read_after_goodbye(call: H2Call) -> list[Frame]:
    await call.frames(3)
    await call.say_goodbye()
    return await call.all_frames()


async def test_a_client_that_says_goodbye_gets_the_rest(tmp_path: Path, upstream: Process) -> None:
    """RFC 9113 §6.8: a GOAWAY is about requests to come."""
    model = "up/v:first=0,delay=20ms,tokens=50"
    async with (
        staged(tmp_path, upstream) as stage,
        h2_chatting(stage.server, model, user="goodbye") as call,
    ):
        frames = await read_after_goodbye(call)
        assert frames[-1].data == b"[DONE]"
        assert await call.at_end(), "and then the connection ends"
        async with h2_chatting(stage.server, model, user="stays") as other:
            assert text_of(await other.all_frames()) == text_of(frames)
