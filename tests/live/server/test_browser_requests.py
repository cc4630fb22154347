"""Origin checks on real sockets: curl and SDKs, and requests as browsers send them."""

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator

import httpx
import pytest
import trio

from tests.support.live import harness
from tests.support.live.http_client import QUESTION
from tests.support.live.openai_clients import sdk
from tests.support.live.prerequisites import require
from tests.support.live.websocket_client import open_connection
from tests.support.responses_socket import HANDSHAKE
from web.config import Config

APP = "https://app.example"
BROWSER = {"Origin": APP, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
MODEL = "up/v:tokens=5,delay=1ms"
SETTINGS = f"""
http2 = true
hosts = ["trouper.example"]
grace_s = 0
[cors]
origins = ["{APP}"]
"""


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, upstream: harness.Process
) -> Iterator[harness.Server]:
    """Run a server that pages of `APP` may use."""
    directory = tmp_path_factory.mktemp("browsers")
    config = harness.write_config(directory, upstream.port, SETTINGS)
    with harness.serving(directory, config) as running:
        yield running


def chat(**changes: object) -> dict[str, object]:
    return {"model": MODEL, "messages": QUESTION} | changes


def curl(server: harness.Server, path: str, *options: str) -> tuple[int, str]:
    """Return the status and body of a request by curl."""
    program = shutil.which("curl")
    require(program is not None, "curl is missing: install curl")
    assert program is not None
    url = f"http://127.0.0.1:{server.port}{path}"
    ran = subprocess.run(
        [program, "-s", "-w", "%{http_code}", *options, url],
        capture_output=True,
        check=True,
        timeout=harness.TIMEOUT_S,
    )
    output = ran.stdout.decode()
    return int(output[-3:]), output[:-3]


def test_curl_needs_no_content_type(server: harness.Server) -> None:
    status, body = curl(server, "/v1/chat/completions", "-d", json.dumps(chat()))
    assert status == 200
    assert json.loads(body)["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (("Host: trouper.example",), 200),
        (("Host: evil.example",), 421),
        (("Origin: https://evil.example",), 403),
        (("Origin: null",), 403),
        (("Sec-Fetch-Site: cross-site",), 403),
        ((f"Origin: {APP}",), 415),
        ((f"Origin: {APP}", "Content-Type: application/json"), 200),
    ],
)
@pytest.mark.parametrize("protocol", ["--http1.1", "--http2-prior-knowledge"])
def test_curl_with_the_headers_of_browsers(
    server: harness.Server, headers: tuple[str, ...], expected: int, protocol: str
) -> None:
    options = [part for header in headers for part in ("-H", header)]
    data = ("-d", json.dumps(chat()))
    assert curl(server, "/v1/chat/completions", protocol, *data, *options)[0] == expected


def test_sdk_is_not_restricted(server: harness.Server) -> None:
    with sdk(server) as client:
        answer = client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Who is on stage?"}]
        )
        assert answer.choices[0].finish_reason == "stop"


async def test_page_of_a_listed_origin_streams_after_a_preflight(server: harness.Server) -> None:
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    base = f"http://127.0.0.1:{server.port}"
    async with httpx.AsyncClient(base_url=base, headers=BROWSER) as client:
        preflight = await client.options("/v1/chat/completions", headers=asked)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-headers"] == "authorization,content-type"
        body = chat(stream=True)
        async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
            assert answer.status_code == 200
            assert answer.headers["access-control-allow-origin"] == APP
            assert (await answer.aread()).endswith(b"data: [DONE]\n\n")
        turn = await client.get(f"/v1/turns/{answer.headers['x-turn-id']}")
        assert turn.json()["status"] == "completed"
        for path, status in (("/nowhere", 404), ("/v1/turns/turn_x", 404), ("/metrics", 200)):
            found = await client.get(path)
            assert (found.status_code, found.headers["access-control-allow-origin"]) == (
                status,
                APP,
            )


@pytest.mark.parametrize(
    ("host", "origin", "expected"),
    [
        ("localhost", "", b"101"),
        ("trouper.example", "http://trouper.example", b"101"),
        ("localhost", APP, b"101"),
        ("localhost", "https://evil.example", b"403"),
        ("evil.example", "http://evil.example", b"421"),
    ],
)
async def test_handshake(server: harness.Server, host: str, origin: str, expected: bytes) -> None:
    handshake = HANDSHAKE.replace(b"localhost", host.encode())
    if origin:
        handshake = handshake[:-2] + b"Origin: %b\r\n\r\n" % origin.encode()
    async with open_connection(server) as stream:
        await stream.send_all(handshake)
        with trio.fail_after(harness.TIMEOUT_S):
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 %b " % expected)


def test_configuration_of_the_how_to_is_valid() -> None:
    page = (harness.ROOT / "docs" / "how-to" / "browsers.md").read_text("utf-8")
    examples = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    config = Config.model_validate(tomllib.loads("".join(examples)))
    assert config.cors.origins[0] == APP
    assert config.server.hosts == ("trouper.example",)


async def test_refused_requests_are_logged(server: harness.Server) -> None:
    async with httpx.AsyncClient() as client:
        url = f"http://127.0.0.1:{server.port}/v1/turns?refused"
        refused = await client.get(url, headers={"Origin": "https://evil.example"})

    async def lines() -> list[dict[str, object]]:
        found = server.logged("request ended")
        return [line for line in found if line["request"] == refused.headers["x-request-id"]]

    [line] = await harness.until(lines)
    assert (line["status"], line["path"]) == (403, "/v1/turns")
