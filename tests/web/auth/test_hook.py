"""Origin checks of the running application: every route, method and protocol."""

import json
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager

import httpx
import pytest
import trio
from trio.testing import MockClock

from tests.support.edge_harness import EdgeHarness, brief_pause, chat_body, open_harness
from tests.support.memory_http import memory_client
from tests.support.responses_requests import error_of
from tests.support.responses_socket import HANDSHAKE, serve_sockets
from tests.support.turn_fakes import FOREVER, ScriptedProvider, StoreFault, stop, text
from web.app import create_app
from web.auth.origins import EXPOSED

APP = "https://app.example"
PAGE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
REFUSED: dict[str, tuple[dict[str, str], int]] = {
    "foreign": ({"Origin": "https://evil.example"}, 403),
    "null": ({"Origin": "null"}, 403),
    "other port": ({"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"}, 403),
    "cross-site": ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
    "link": ({"Sec-Fetch-Site": "cross-site", **PAGE}, 403),
    "rebinding": (
        {
            "Host": "evil.example:8700",
            "Origin": "http://evil.example:8700",
            "Sec-Fetch-Site": "same-origin",
        },
        421,
    ),
    "rebinding without Origin": ({"Host": "evil.example"}, 421),
}
ACCEPTED: dict[str, dict[str, str]] = {
    "listed origin": {"Origin": APP, "Sec-Fetch-Site": "cross-site"},
    "own page": {"Origin": "http://localhost:8700", "Sec-Fetch-Site": "same-origin"},
    "listed host": {"Host": "trouper.example"},
    "no browser": {},
}
CODES = {403: "origin_not_allowed", 421: "host_not_allowed"}
PROTOCOLS = pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
READABLE = {name.lower() for name in EXPOSED} | {
    *("cache-control", "content-language", "content-length", "content-type", "expires"),
    *("last-modified", "pragma"),
}
"""Headers of responses that pages can read: those exposed, and the Fetch standard's own."""
NOT_FOR_PAGES = {
    *("allow", "connection", "date", "server", "transfer-encoding", "vary", "x-accel-buffering"),
    *("x-content-type-options", "x-frame-options", "referrer-policy", "content-security-policy"),
    *("access-control-allow-origin", "access-control-expose-headers"),
}


def open_listed(
    *providers: ScriptedProvider, **limits: object
) -> AbstractAsyncContextManager[EdgeHarness]:
    """Run the application with a listed origin and a listed host name."""
    server: dict[str, object] = {"hosts": ["trouper.example"]}
    return open_harness(*providers, cors={"origins": [APP]}, server=server, limits=limits)


def targets(harness: EdgeHarness, *, websocket: bool) -> Iterator[tuple[str, str]]:
    """Yield method and path of every route, and two requests that match no route."""
    for rule in create_app(harness.service).url_map.iter_rules():
        path = rule.rule.replace("<path:", "<")
        for argument in rule.arguments:
            path = path.replace(f"<{argument}>", "some")
        if rule.websocket == websocket:
            yield from ((method, path) for method in rule.methods or {"GET"})
    yield from () if websocket else (("POST", "/nowhere"), ("PATCH", "/health"))


@PROTOCOLS
async def test_no_route_answers_foreign_pages(autojump_clock: MockClock, http2: bool) -> None:
    async with (
        open_listed(ScriptedProvider()) as harness,
        memory_client(harness, http2=http2) as client,
    ):
        found = sorted(targets(harness, websocket=False))
        assert len(found) > 40, "the test looks in the wrong place"
        for method, path in found:
            for name, (headers, status) in REFUSED.items():
                answer = await client.request(method, path, headers=headers)
                assert answer.status_code == status, (method, path, name)
                assert "access-control-allow-origin" not in answer.headers
                assert "x-request-id" in answer.headers
                if method != "HEAD" and not path.startswith("/v1/messages"):
                    assert error_of(answer)[1] == CODES[status]


@PROTOCOLS
async def test_every_route_answers_its_clients(autojump_clock: MockClock, http2: bool) -> None:
    async with (
        open_listed(ScriptedProvider()) as harness,
        memory_client(harness, http2=http2) as client,
    ):
        for method, path in sorted(targets(harness, websocket=False)):
            statuses = set()
            for name, headers in ACCEPTED.items():
                answer = await client.request(method, path, headers=headers)
                statuses.add(answer.status_code)
                allowed = answer.headers.get("access-control-allow-origin")
                assert allowed == (APP if name == "listed origin" else None), (method, path, name)
                assert answer.headers["vary"] == "Origin"
                assert set(answer.headers) <= READABLE | NOT_FOR_PAGES
            assert len(statuses) == 1, (method, path, statuses)
            assert not statuses & {403, 415, 421}


@PROTOCOLS
async def test_preflights_are_answered_on_every_path(
    autojump_clock: MockClock, http2: bool
) -> None:
    asked = {
        "Origin": APP,
        "Sec-Fetch-Site": "cross-site",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-stainless-lang",
    }
    async with (
        open_listed() as harness,
        memory_client(harness, http2=http2) as client,
    ):
        for path in {path for _, path in targets(harness, websocket=False)}:
            answer = await client.options(path, headers=asked)
            assert (answer.status_code, answer.content) == (204, b"")
            assert not {"content-length", "content-type"} & set(answer.headers)
            assert answer.headers["access-control-allow-origin"] == APP
            allowed = answer.headers["access-control-allow-headers"]
            assert allowed == asked["Access-Control-Request-Headers"]
            foreign = await client.options(path, headers=asked | {"Origin": "https://evil.example"})
            assert foreign.status_code == 403


async def test_handshakes_of_foreign_pages_are_refused(autojump_clock: MockClock) -> None:
    async with open_listed() as harness, serve_sockets(harness) as server:
        paths = [path for _, path in targets(harness, websocket=True)]
        assert "/v1/responses" in paths
        for path in [*paths, "/nowhere"]:
            for headers, status in REFUSED.values():
                handshake = _handshake(path, headers)
                assert error_of(await server.rejected_handshake(handshake)) == (
                    status,
                    CODES[status],
                    None,
                )


async def test_handshakes_of_clients_and_listed_origins_are_accepted(
    autojump_clock: MockClock,
) -> None:
    async with open_listed() as harness, serve_sockets(harness) as server:
        for headers in (*ACCEPTED.values(), {"Host": "127.0.0.1:9", "Origin": APP}):
            stream = server.connect()
            await stream.send_all(_handshake("/v1/responses", headers))
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 101 ")
            await stream.aclose()


def _handshake(path: str, headers: dict[str, str]) -> bytes:
    host = headers.get("Host", "localhost:8700")
    others = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if name != "Host")
    head = HANDSHAKE.replace(b"/v1/responses", path.encode()).replace(b"localhost", host.encode())
    return head[:-2] + others.encode() + b"\r\n"


async def test_refused_requests_have_no_effect(autojump_clock: MockClock) -> None:
    provider = ScriptedProvider(text("a"), stop())
    async with open_listed(provider) as harness:
        foreign = {"Origin": "https://evil.example"}
        opened = await harness.post("/v1/routes/main/main-model/open", headers=foreign)
        chat = await harness.post("/v1/chat/completions", json=chat_body(), headers=foreign)
        assert (opened.status_code, chat.status_code) == (403, 403)
        assert not provider.calls
        [route] = (await harness.get("/v1/routes")).json()["data"]
        assert route["state"] == "closed"


async def test_refusal_has_the_format_of_the_surface(autojump_clock: MockClock) -> None:
    async with open_harness() as harness, memory_client(harness, http2=False) as client:
        answer = await client.post("/v1/messages", headers={"Origin": "https://evil.example"})
        body = answer.json()
        assert answer.status_code == 403
        assert body["error"]["type"] == "permission_error"
        assert "cors.origins" in body["error"]["message"]
        assert body["request_id"] == answer.headers["request-id"]


async def test_refusal_does_not_wait_for_the_body(autojump_clock: MockClock) -> None:
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n"
        b"Content-Length: 1000000\r\n\r\n"
    )
    async with open_harness() as harness, serve_sockets(harness) as server:
        began = trio.current_time()
        stream = server.connect()
        await stream.send_all(head)
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 403 ")
        assert trio.current_time() == began
        await stream.aclose()


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
async def test_simple_bodies_are_for_programs_other_than_browsers(
    autojump_clock: MockClock, kind: str | None
) -> None:
    provider = ScriptedProvider(text("a"), stop())
    async with open_listed(provider) as harness:
        given = {} if kind is None else {"Content-Type": kind}
        body = json.dumps(chat_body()).encode()
        for browser in (ACCEPTED["own page"], {"Origin": APP}, {"Sec-Fetch-Site": "none"}):
            headers = given | browser | {"Host": "localhost:8700"}
            answer = await harness.post("/v1/chat/completions", content=body, headers=headers)
            assert error_of(answer) == (415, "unsupported_media_type", None)
        assert not provider.calls
        answer = await harness.post("/v1/chat/completions", content=body, headers=given)
        assert answer.status_code == 200


@PROTOCOLS
async def test_listed_origin_can_read_a_stream(autojump_clock: MockClock, http2: bool) -> None:
    provider = ScriptedProvider(text("a"), 1.0, text("b"), stop())
    async with (
        open_listed(provider) as harness,
        memory_client(harness, http2=http2) as client,
    ):
        answer = await client.post(
            "/v1/chat/completions", json=chat_body(stream=True), headers={"Origin": APP}
        )
        assert answer.content.endswith(b"data: [DONE]\n\n")
        _check_readable(answer, 200)
        exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
        assert {"x-turn-id", "x-request-id", "retry-after"} <= set(exposed)
        assert {"x-turn-id", "x-request-id"} <= set(answer.headers)


async def test_listed_origin_can_read_errors(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = ScriptedProvider(text("a"), FOREVER)
    async with open_listed(provider, body_bytes=100, concurrent_turns=1) as harness:
        listed = {"Origin": APP}

        async def chat(body: object = None) -> httpx.Response:
            given = chat_body() if body is None else body
            return await harness.post("/v1/chat/completions", json=given, headers=listed)

        _check_readable(await harness.get("/nowhere", headers=listed), 404)
        _check_readable(await harness.get("/v1/chat/completions", headers=listed), 405)
        _check_readable(await chat({}), 400)
        _check_readable(await chat({"model": "x" * 100}), 413)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(chat)
            await brief_pause()
            _check_readable(await chat(), 503)
            nursery.cancel_scope.cancel()
        harness.store.trouble["checkpoint"] = StoreFault.REFUSES
        _check_readable(await harness.get("/ready", headers=listed), 503)
        monkeypatch.setattr(type(harness.store), "get_turn", _crash)
        _check_readable(await harness.get("/v1/turns/turn_9", headers=listed), 500)


async def _crash(*_: object) -> None:
    await trio.lowlevel.checkpoint()
    raise KeyError("a bug")


def _check_readable(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == APP
    assert "x-turn-id" in answer.headers["access-control-expose-headers"].lower()
    assert answer.headers["vary"] == "Origin"
