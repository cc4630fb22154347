"""Clients that vanish without a word, as machines do whose power or network goes."""

import json
import time
from pathlib import Path

import pytest

from tests.live import harness
from tests.live.client import JSON, QUESTION, fetch, reports
from tests.live.far import far_machine
from tests.live.frames import read_frames
from tests.live.harness import FULL, Process, Server, until

SETTINGS = {5.0: 6.0, 30.0: 30.0} if FULL else {5.0: 6.0}
"""`write_stall_s`, and in how many seconds a client must be missed with it; 30 is the default."""
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
async def test_a_client_that_vanishes_is_missed(
    tmp_path: Path, upstream: Process, stream: str, write_stall_s: float
) -> None:
    user, within_s = f"{stream}-{write_stall_s}", SETTINGS[write_stall_s]
    settings = (
        f"[limits]\nwrite_stall_s = {write_stall_s}\n[timeouts]\nidle_s = 300\n"
        f"[turns]\nheartbeat_s = {write_stall_s / 2}\n"
    )
    config = harness.write_config(tmp_path, upstream.port, settings)
    with far_machine() as far:
        wrapper = ("tests.live.bound", far.here)
        with harness.serving(tmp_path, config, wrapper=wrapper) as server:
            server.host = far.here
            url = f"http://{far.here}:{server.port}/v1/chat/completions"
            received = tmp_path / "received"

            async def has_begun() -> bool:
                return len(read_frames(received.read_bytes(), cut=True)) >= 3

            with far.running(curl(url, f"up/v:{STREAMS[stream]}", user), received):
                await until(has_begun)
                far.vanish()
                vanished_at = time.monotonic()
                missed_s = await closed_at(upstream, user, within_s + 5) - vanished_at
            found = await last_turn(server)
    assert 0.5 < missed_s <= within_s
    assert (found["status"], found["reason"]) == ("incomplete", "client_disconnected")
