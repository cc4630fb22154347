"""Request ids, security headers, connection limits, access log, signals and systemd."""

import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.live.harness import Process, Server, serving, until, write_config
from tests.support.live.http_client import Call, calling, fetch, metrics, open_chat

SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}


def assert_security_headers(call: Call) -> None:
    assert {name: call.headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS


async def get(server: Server, target: str, *headers: tuple[str, str]) -> Call:
    """Send one request on a new connection and read the response."""
    async with calling(server.port) as call:
        await call.request("GET", target, headers=headers)
        await call.head()
        await call.read_all()
        return call


async def test_every_response_has_a_request_id_and_security_headers(live: Server) -> None:
    for target, status in (("/health", 200), ("/nowhere", 404), ("/v1/turns?limit=x", 400)):
        call = await get(live, target, ("X-Request-Id", "mine-1"))
        assert (call.status, call.headers["x-request-id"]) == (status, "mine-1")
        assert_security_headers(call)
    made = [(await get(live, "/health")).headers["x-request-id"] for _ in range(2)]
    assert made[0] != made[1]
    assert all(re.fullmatch("req_[0-9a-z]{26}", id) for id in made)


async def test_responses_of_the_http_layer_have_them_too(live: Server) -> None:
    async with calling(live.port) as call:
        await call.request("GET", "/health", headers=(("X-Bomb", "x" * 200_000),))
        assert await call.head() == 431
        assert call.headers["x-request-id"].startswith("req_")
        assert_security_headers(call)


async def test_each_request_is_logged_once(live: Server) -> None:
    async with open_chat(live, "up/v:tokens=3") as call:
        await call.head()
        await call.all_frames()
        request_id = call.headers["x-request-id"]
        turn_id = call.turn_id
    await get(live, f"/v1/turns/{turn_id}?secret=1", ("X-Request-Id", "reader"))

    async def both() -> list[dict[str, object]]:
        lines = [*live.logged("request ended"), *live.logged("turn ended")]
        found = [line for line in lines if line["request"] in (request_id, "reader")]
        return found if len(found) > 1 else []

    [read, ended] = await until(both)
    assert (ended["event"], ended["turn"], ended["request"]) == ("turn ended", turn_id, request_id)
    assert (read["method"], read["path"]) == ("GET", f"/v1/turns/{turn_id}")
    assert (read["status"], read["left"]) == (200, False)
    assert int(str(read["bytes"])) > 100


async def test_abort_duration_is_measured(live: Server) -> None:
    async with open_chat(live, "up/v:delay=20ms,tokens=500") as call:
        await call.head()
        await call.frames(3)

    async def timed() -> float:
        return (await metrics(live))["trouper_abort_seconds_count"]

    assert await until(timed) == 1
    assert (await metrics(live))["trouper_abort_seconds_sum"] < 0.2


async def test_connection_beyond_the_limit_gets_503(tmp_path: Path, upstream: Process) -> None:
    config = write_config(tmp_path, upstream.port, "grace_s = 0\n[limits]\nconnections = 1\n")
    with serving(tmp_path, config) as server:
        async with calling(server.port) as first:
            await first.request("GET", "/health")
            assert await first.head() == 200
            refused = await get(server, "/health")
            assert refused.status == 503
            assert b'"code":"overloaded"' in refused.body
            assert int(refused.headers["retry-after"]) >= 1
            assert refused.headers["x-request-id"].startswith("req_")
            assert_security_headers(refused)
            await first.read_all()
            first.reuse()
            await first.request("GET", "/metrics")
            await first.head()
            assert b"\ntrouper_connections_refused_total 1.0\n" in await first.read_all()


async def test_idle_connection_does_not_outlast_the_grace_period(
    tmp_path: Path, upstream: Process
) -> None:
    config = write_config(tmp_path, upstream.port, "grace_s = 0.5\ndrain_s = 60\n")
    with serving(tmp_path, config) as server:
        async with calling(server.port) as idle:
            await idle.request("GET", "/health")
            await idle.head()
            await idle.read_all()
            began = time.monotonic()
            server.signal(signal.SIGTERM)
            assert await server.wait() == 0
            took = time.monotonic() - began
    assert 0.5 <= took < 1.0


async def test_sighup_without_a_certificate_changes_nothing(
    tmp_path: Path, upstream: Process
) -> None:
    config = write_config(tmp_path, upstream.port, "grace_s = 0\n")
    with serving(tmp_path, config) as server:
        server.signal(signal.SIGHUP)

        async def read() -> bool:
            return bool(server.logged("certificate reload skipped"))

        await until(read)
        assert (await fetch(server, "/ready"))[0] == 200


@contextmanager
def open_notify_socket() -> Iterator[socket.socket]:
    """Open a notification socket like that of systemd."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0trouper-test-{os.getpid()}")
        sock.settimeout(15)
        yield sock


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@pytest.mark.parametrize("options", [(), ("--supervise", "1")], ids=["alone", "supervised"])
async def test_inherited_socket_is_used_and_systemd_is_notified(
    tmp_path: Path, upstream: Process, options: tuple[str, ...]
) -> None:
    config = write_config(tmp_path, upstream.port, "grace_s = 0\n")
    port = free_port()
    with open_notify_socket() as notifications:
        name = "@" + notifications.getsockname()[1:].decode()
        wrapper = ("tests.support.live.socket_activation", str(port), name)
        with serving(tmp_path, config, wrapper=wrapper, options=options) as server:
            assert notifications.recv(100) == b"READY=1"
            assert server.port == port
            assert (await fetch(server, "/ready"))[0] == 200
            server.signal(signal.SIGTERM)
            assert await server.wait() == 0
            assert notifications.recv(100) == b"STOPPING=1"
