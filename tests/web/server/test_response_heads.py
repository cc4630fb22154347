"""Heads of HTTP/1.1 responses: their fields, and headers that are rejected."""

import h11
import pytest
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from structlog.testing import capture_logs
from trio.testing import MockClock, memory_stream_pair

from web.server import HttpServer, ServerSettings

Headers = list[tuple[bytes, bytes]]
GET = b"GET / HTTP/1.1\r\nHost: t\r\nX-Request-Id: req_1\r\nConnection: close\r\n\r\n"


async def _answer_with(headers: Headers, request: bytes = GET) -> bytes:
    """Return the bytes from an app that answers `ok` with these headers."""

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok", "more_body": False})

    theirs, ours = memory_stream_pair()
    got = b""
    async with trio.open_nursery() as nursery:
        server = HttpServer(app, ServerSettings())
        nursery.start_soon(server.handle, ours)
        await theirs.send_all(request)
        while data := await theirs.receive_some():
            got += data
        nursery.cancel_scope.cancel()
    return got


def _parsed(answer: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    """Return status, headers and body as a client parses them."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("host", "t")]))
    client.send(h11.EndOfMessage())
    client.receive_data(answer)
    head, body = client.next_event(), b""
    assert isinstance(head, h11.Response)
    while isinstance(part := client.next_event(), h11.Data):
        body += part.data
    assert isinstance(part, h11.EndOfMessage)
    return head.status_code, dict(head.headers), body


@pytest.mark.parametrize(
    ("headers", "framing"),
    [
        ([], b"transfer-encoding"),
        ([(b"content-length", b"2")], b"content-length"),
        ([(b"Content-Length", b"2")], b"content-length"),
    ],
)
async def test_head_has_framing_date_and_request_id(
    headers: Headers, framing: bytes, autojump_clock: MockClock
) -> None:
    answer = await _answer_with([*headers, (b"x-a", b"b  c"), (b"x-a", b""), (b"x-\xe9"[:2], b"d")])
    status, fields, body = _parsed(answer)
    assert (status, body) == (200, b"ok")
    assert framing in fields
    assert b"x-a: b  c\r\nx-a: \r\n" in answer
    assert (fields[b"x-request-id"], fields[b"connection"]) == (b"req_1", b"close")
    assert {b"date", b"x-content-type-options"} <= set(fields)


@pytest.mark.parametrize(
    "header",
    [
        (b"x-a", b"b\r\nx-c: d"),
        (b"x-a", b"b\nx-c: d"),
        (b"x-a", b"b\r\n\r\n<html>"),
        (b"x-a\r\nx-c", b"d"),
        (b"x a", b"b"),
        (b"", b"b"),
        (b"x-a", b"b\0"),
        (b"content-length", b"2\r\nx-c: d"),
        (b"content-length", b"x"),
        (b"connection", b"close\r\nx-c: d"),
    ],
)
async def test_invalid_header_is_a_500(
    header: tuple[bytes, bytes], autojump_clock: MockClock
) -> None:
    with capture_logs() as logs:
        status, fields, body = _parsed(await _answer_with([header]))
    assert (status, body) == (500, b"")
    assert not {b"x-c", b"x-a", b"x a"} & set(fields)
    assert [line["event"] for line in logs] == ["request failed"]


async def test_http10_response_is_not_chunked(autojump_clock: MockClock) -> None:
    answer = await _answer_with([], b"GET / HTTP/1.0\r\nHost: t\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert body == b"ok"
    assert b"onnection: close" in head
    assert b"ransfer-" not in head
