"""Clients that vanish without FIN or RST, like machines that lose power or network."""

import json
import time
from pathlib import Path

import pytest

from tests.support.live import harness
from tests.support.live.harness import Process, Server, until
from tests.support.live.http_client import JSON, QUESTION, fetch, reports
from tests.support.live.network_namespace import network_namespace
from tests.support.live.sse_frames import read_frames
from tests.support.sizes import FULL

SETTINGS = {5.0: 6.0, 30.0: 30.0} if FULL else {5.0: 6.0}
"""Detection time limit in seconds for each `write_stall_s`, whose default is 30."""
STREAMS = {"streaming": "delay=20ms,tokens=20000", "silent": "delay=0,tokens=5000,stall=3"}


async def closed_at(upstream: Process, user: str, within_s: float) -> float:
    async def look() -> float | None:
        found = await reports(upstream, user)
        at = found[0]["closed_at"] if found else None
        return at if isinstance(at, float) else None

    found = await until(look, within_s)
    assert found is not None
    return found


async def last_turn(server: Server) -> JSON:
    async def look() -> JSON | None:
        _, page = await fetch(server, "/v1/turns?limit=1")
        assert isinstance(page["data"], list)
        newest: JSON = page["data"][0]
        return newest if newest["ended_at"] else None

    found = await until(look)
    assert found is not None
    return found


def curl(url: str, model: str, user: str) -> list[str]:
    body = {"model": model, "messages": QUESTION, "stream": True, "user": user}
    return ["curl", "--silent", "--no-buffer", url, "--data", json.dumps(body)]


@pytest.mark.parametrize("write_stall_s", SETTINGS)
@pytest.mark.parametrize("stream", STREAMS)
async def test_vanished_client_is_detected(
    tmp_path: Path, upstream: Process, stream: str, write_stall_s: float
) -> None:
    user, within_s = f"{stream}-{write_stall_s}", SETTINGS[write_stall_s]
    settings = (
        f"[limits]\nwrite_stall_s = {write_stall_s}\n[timeouts]\nidle_s = 300\n"
        f"[turns]\nheartbeat_s = {write_stall_s / 2}\n"
    )
    config = harness.write_config(tmp_path, upstream.port, settings)
    with network_namespace() as namespace:
        wrapper = ("tests.support.live.bind_any_host", namespace.host_address)
        with harness.serving(tmp_path, config, wrapper=wrapper) as server:
            server.host = namespace.host_address
            url = f"http://{namespace.host_address}:{server.port}/v1/chat/completions"
            received = tmp_path / "received"

            async def has_begun() -> bool:
                return len(read_frames(received.read_bytes(), allow_partial=True)) >= 3

            with namespace.running(curl(url, f"up/v:{STREAMS[stream]}", user), received):
                await until(has_begun)
                namespace.unplug()
                vanished_at = time.monotonic()
                missed_s = await closed_at(upstream, user, within_s + 5) - vanished_at
            found = await last_turn(server)
    assert 0.5 < missed_s <= within_s
    assert (found["status"], found["reason"]) == ("incomplete", "client_disconnected")
