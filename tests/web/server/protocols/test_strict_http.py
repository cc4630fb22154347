"""Requests that are refused, each with the section of the RFC that forbids it, and odd valid ones.

h11 is the client of the property tests: everything that it sends must be accepted unchanged.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import h2.config
import h2.connection
import h2.events
import h11
import msgspec
import pytest
import trio
from h2.errors import ErrorCodes
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope
from hyperframe.frame import GoAwayFrame
from hypothesis import example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from trio.testing import MockClock, memory_stream_pair

from tests.support.sizes import examples
from web.server import HttpServer, ServerSettings
from web.server.protocols.strict_http import METHODS, StrictBuffer

POST = b"POST / HTTP/1.1\r\nHost: t\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
WEBSOCKET = (
    b"GET / HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def get(
    target: bytes = b"/", host: bytes = b"t", method: bytes = b"GET", more: bytes = b""
) -> bytes:
    """Return a request; `more` is further header lines."""
    return b"%b %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (method, target, host, more)


REFUSED = {
    "RFC 6585 5: 201 fields": (431, get(more=b"a:\r\n" * 200)),
    "RFC 9112 2.2: LF ends all lines": (400, b"GET / HTTP/1.1\nHost: t\n\n"),
    "RFC 9112 2.2: LF ends one line": (400, b"GET / HTTP/1.1\r\nHost: t\nA: b\r\n\r\n"),
    "RFC 9112 2.2: LF ends the head": (400, b"GET / HTTP/1.1\r\nHost: t\r\n\nA: b\r\n\r\n"),
    "RFC 9112 2.2: CR in a value": (400, get(more=b"A: b\rc\r\n")),
    "RFC 9112 2.2: CR CR LF": (400, get(more=b"A: b\r\r\n")),
    "RFC 9112 2.2: space before the first header": (400, b"GET / HTTP/1.1\r\n Host: t\r\n\r\n"),
    "RFC 9112 3: two spaces": (400, get(b" /")),
    "RFC 9112 3: tab for a space": (400, b"GET\t/ HTTP/1.1\r\nHost: t\r\n\r\n"),
    "RFC 9112 3: no version": (400, b"GET /\r\n\r\n"),
    "RFC 9112 2.3: lower-case name": (400, b"GET / http/1.1\r\nHost: t\r\n\r\n"),
    "RFC 9112 2.3: two digits": (400, b"GET / HTTP/1.10\r\nHost: t\r\n\r\n"),
    "RFC 9110 15.6.6: unknown version": (505, b"GET / HTTP/3.0\r\nHost: t\r\n\r\n"),
    "RFC 9110 9.1: lower-case method": (501, get(method=b"head")),
    "RFC 9110 9.1: unknown method": (501, get(method=b"BREW")),
    "RFC 9110 9.3.6: CONNECT": (501, get(b"t:80", method=b"CONNECT")),
    "RFC 9112 3.2.1: no slash": (400, get(b"health")),
    "RFC 9112 3.2.1: only a query": (400, get(b"?a=b")),
    "RFC 9112 3.2.1: not ASCII": (400, get(b"/\xc3\xa4")),
    "RFC 9112 3.2.2: another scheme": (400, get(b"ftp://t/")),
    "RFC 9112 3.2.2: broken address": (400, get(b"http://[/")),
    "RFC 9112 3.2.3: host and port": (400, get(b"t:80")),
    "RFC 9112 3.2.4: * with GET": (400, get(b"*")),
    "RFC 9110 4.2.1: no host in the URL": (400, get(b"http:///")),
    "RFC 9110 4.2.4: user in the URL": (400, get(b"http://user@t/")),
    "RFC 9112 3.2: no Host": (400, b"GET / HTTP/1.1\r\n\r\n"),
    "RFC 9112 3.2: two Hosts": (400, get(more=b"Host: t\r\n")),
    "RFC 9112 3.2: Host with a path": (400, get(host=b"t/path")),
    "RFC 9112 3.2: Host with a space": (400, get(host=b"t u")),
    "RFC 9112 3.2: Host not ASCII": (400, get(host=b"\xc3\xa4")),
    "RFC 9112 3.2: Host with a wrong port": (400, get(host=b"t:http")),
    "RFC 9112 5.1: space before the colon": (400, get(more=b"A : b\r\n")),
    "RFC 9112 5: no colon": (400, get(more=b"Ab\r\n")),
    "RFC 9110 5.1: empty name": (400, get(more=b": b\r\n")),
    "RFC 9110 5.1: name not ASCII": (400, get(more=b"\xc3\xa4: b\r\n")),
    "RFC 9112 5.2: folded line": (400, get(more=b"A: b\r\n c\r\n")),
    "RFC 9112 5.2: folded by a tab": (400, get(more=b"A: b\r\n\tc\r\n")),
    "RFC 9110 5.5: NUL in a value": (400, get(more=b"A: b\x00c\r\n")),
    "RFC 9110 5.5: ESC in a value": (400, get(more=b"A: \x1b[2J\r\n")),
    "RFC 9110 5.5: DEL in a value": (400, get(more=b"A: b\x7f\r\n")),
    "RFC 9112 6.1: both lengths": (
        400,
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "RFC 9112 6.1: chunked in HTTP/1.0": (400, CHUNKED.replace(b"1.1", b"1.0") + b"0\r\n\r\n"),
    "RFC 9112 6.1: unknown coding": (501, CHUNKED.replace(b"chunked", b"xchunked")),
    "RFC 9112 6.1: chunked twice": (501, CHUNKED.replace(b"chunked", b"chunked, chunked")),
    "RFC 9112 6.1: two fields": (
        501,
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "RFC 9112 6.3: sign": (400, POST + b"Content-Length: +5\r\n\r\nhello"),
    "RFC 9112 6.3: negative": (400, POST + b"Content-Length: -1\r\n\r\n"),
    "RFC 9112 6.3: hexadecimal": (400, POST + b"Content-Length: 0x5\r\n\r\nhello"),
    "RFC 9112 6.3: empty": (400, POST + b"Content-Length:\r\n\r\nhello"),
    "RFC 9112 6.3: two values": (400, POST + b"Content-Length: 5, 6\r\n\r\nhello"),
    "RFC 9112 6.3: two fields": (
        400,
        POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    ),
    "RFC 9112 7.1: LF after the size": (400, CHUNKED + b"5\nhello\r\n0\r\n\r\n"),
    "RFC 9112 7.1: prefix": (400, CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n"),
    "RFC 9112 7.1: sign": (400, CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n"),
    "RFC 9112 7.1: space before the size": (400, CHUNKED + b" 5\r\nhello\r\n0\r\n\r\n"),
    "RFC 9112 7.1: space after the size": (400, CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n"),
    "RFC 9112 7.1: more than 64 bits": (400, CHUNKED + b"1%b5\r\nhello\r\n" % (b"0" * 16)),
    "RFC 9112 7.1: no size": (400, CHUNKED + b"\r\nhello\r\n0\r\n\r\n"),
    "RFC 9112 7.1: longer than its size": (400, CHUNKED + b"4\r\nhello\r\n0\r\n\r\n"),
    "RFC 9112 7.1: LF after the data": (400, CHUNKED + b"5\r\nhello\n0\r\n\r\n"),
    "RFC 9112 7.1.1: CR in an extension": (400, CHUNKED + b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
    "RFC 9112 7.1.1: LF in an extension": (400, CHUNKED + b"5;a\nb\r\nhello\r\n0\r\n\r\n"),
    "RFC 9112 7.1.2: LF in trailers": (400, CHUNKED + b"0\r\nA: b\n\r\n\r\n"),
    "RFC 9112 7.1.2: folded trailer": (400, CHUNKED + b"0\r\nA: b\r\n c\r\n\r\n"),
    "RFC 9112 7.1.2: NUL in a trailer": (400, CHUNKED + b"0\r\nA: \x00\r\n\r\n"),
    "RFC 6455 4.1: protocol not ASCII": (
        400,
        WEBSOCKET[:-2] + b"Sec-WebSocket-Protocol: \xe4\r\n\r\n",
    ),
    "RFC 6455 4.1: connection not ASCII": (400, WEBSOCKET.replace(b"n: Upg", b"n: \xe4, Upg")),
    "RFC 6455 4.1: no key": (400, WEBSOCKET.replace(b"Sec-WebSocket-Key", b"X-Key")),
    "RFC 6455 4.1: short key": (400, WEBSOCKET.replace(b"dGhl", b"")),
    "RFC 6455 4.1: two keys": (
        400,
        WEBSOCKET[:-2] + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    ),
    "RFC 6455 4.4: another version": (400, WEBSOCKET.replace(b"Version: 13", b"Version: 8")),
}

ACCEPTED = {
    "RFC 6585 5: 200 fields": (get(more=b"a:\r\n" * 199), ("GET", "/", "t", "")),
    "RFC 9112 2.2: empty line before the request": (b"\r\n" + get(), ("GET", "/", "t", "")),
    "RFC 9112 3.2: empty Host": (get(host=b""), ("GET", "/", "", "")),
    "RFC 9112 3.2: address and port": (get(host=b"[::1]:80"), ("GET", "/", "[::1]:80", "")),
    "RFC 9112 3.2: no Host in HTTP/1.0": (b"GET / HTTP/1.0\r\n\r\n", ("GET", "/", "", "")),
    "RFC 9112 3.2.1: two slashes": (get(b"//u/p"), ("GET", "//u/p", "t", "")),
    "RFC 9112 3.2.2: URL": (get(b"http://u:80/p?q"), ("GET", "/p", "u:80", "")),
    "RFC 9112 3.2.2: URL without a path": (get(b"HTTPS://u"), ("GET", "/", "u", "")),
    "RFC 9112 3.2.2: URL with only a query": (get(b"http://u?q"), ("GET", "/", "u", "")),
    "RFC 9112 3.2.4: * with OPTIONS": (get(b"*", method=b"OPTIONS"), ("OPTIONS", "*", "t", "")),
    "RFC 9110 5.5: bytes above ASCII": (get(more=b"A: \xe4\tb\r\n"), ("GET", "/", "t", "")),
    "RFC 9110 10.1.1: unknown Expect": (get(more=b"Expect: cake\r\n"), ("GET", "/", "t", "")),
    "RFC 9110 7.8: unknown Upgrade": (
        get(more=b"Connection: Upgrade\r\nUpgrade: h2c, a/b\r\n"),
        ("GET", "/", "t", ""),
    ),
    "RFC 9112 6.3: one length twice": (
        POST + b"Content-Length: 5, 5\r\n\r\nhello",
        ("POST", "/", "t", "hello"),
    ),
    "RFC 9112 7.1.1: chunk extensions": (
        CHUNKED + b'5;a ; b="c"\r\nhello\r\n0;z\r\n\r\n',
        ("POST", "/", "t", "hello"),
    ),
    "RFC 9112 7.1.2: trailers": (
        CHUNKED + b"5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n",
        ("POST", "/", "t", "hello"),
    ),
}


async def echo(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Answer with the request's method, path, host and body; accept a WebSocket."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        await trio.sleep_forever()
    http: HTTPScope = scope  # type: ignore[assignment]  # lifespan events are not sent
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return
        body, more = body + message["body"], message["more_body"]
    host = dict(http["headers"]).get(b"host", b"").decode()
    answer = msgspec.json.encode([http["method"], http["path"], host, body.decode()])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": answer, "more_body": False})


@asynccontextmanager
async def connected(
    http2: bool = False, logged: tuple[str, ...] = ()
) -> AsyncIterator[trio.abc.HalfCloseableStream]:
    """Connect to a server of `echo`; check that it logs only these events."""
    theirs, ours = memory_stream_pair()
    server = HttpServer(echo, ServerSettings(http2=http2))
    with capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.handle, ours)
            yield theirs
            nursery.cancel_scope.cancel()
    assert tuple(line["event"] for line in logs) == logged


async def read_all(stream: trio.abc.ReceiveStream) -> bytes:
    got = b""
    while data := await stream.receive_some():
        got += data
    return got


@pytest.mark.parametrize("pieces", ["whole", "bytes"])
@pytest.mark.parametrize("name", REFUSED)
async def test_refused_requests_are_answered_and_the_connection_is_closed(
    autojump_clock: MockClock, name: str, pieces: str
) -> None:
    status, request = REFUSED[name]
    began = trio.current_time()
    async with connected() as stream:
        step = 1 if pieces == "bytes" else len(request)
        for start in range(0, len(request), step):
            await stream.send_all(request[start : start + step])
        answer = await read_all(stream)
        assert trio.current_time() == began, "the connection must be closed without a timeout"
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nconnection: close" in head.lower()
    assert b"\r\ncontent-length: %d\r\n" % len(body) in head.lower()
    assert msgspec.json.decode(body)["error"]["message"]


@pytest.mark.parametrize("name", ACCEPTED)
async def test_odd_but_valid_requests_are_answered(autojump_clock: MockClock, name: str) -> None:
    request, expected = ACCEPTED[name]
    async with connected() as stream:
        await stream.send_all(request)
        answer = b""
        while b"]" not in answer and (data := await stream.receive_some()):
            answer += data
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert msgspec.json.encode(expected) in answer


async def test_refused_head_request_gets_no_body(autojump_clock: MockClock) -> None:
    async with connected() as stream:
        await stream.send_all(get(b"health", method=b"HEAD"))
        assert (await read_all(stream)).partition(b"\r\n\r\n")[2] == b""


async def test_unsupported_websocket_version_gets_the_supported_one(
    autojump_clock: MockClock,
) -> None:
    async with connected() as stream:
        await stream.send_all(WEBSOCKET.replace(b"Version: 13", b"Version: 8"))
        assert b"\r\nsec-websocket-version: 13\r\n" in (await read_all(stream)).lower()


async def test_handshake_followed_by_the_end_is_not_an_error(autojump_clock: MockClock) -> None:
    async with connected() as stream:
        await stream.send_all(WEBSOCKET)
        await stream.send_eof()
        await read_all(stream)
        await trio.testing.wait_all_tasks_blocked()


# HTTP/2

VALID = {":method": b"GET", ":scheme": b"http", ":authority": b"t", ":path": b"/"}
H2_REFUSED: dict[str, tuple[bytes, dict[str, bytes]]] = {
    "RFC 6585 5: 201 fields": (b"431", {f"a{n}": b"" for n in range(197)}),
    "RFC 9113 8.3.1: no slash": (b"400", {":path": b"health"}),
    "RFC 9113 8.3.1: * with GET": (b"400", {":path": b"*"}),
    "RFC 9113 8.3.1: not ASCII": (b"400", {":path": b"/\xff"}),
    "RFC 9113 8.3.1: space in the path": (b"400", {":path": b"/a b"}),
    "RFC 9113 8.3.1: user in the authority": (b"400", {":authority": b"user@t"}),
    "RFC 9110 9.1: lower-case method": (b"501", {":method": b"head"}),
    "RFC 9110 9.1: method not ASCII": (b"501", {":method": b"\xff"}),
    "RFC 9110 5.5: ESC in a value": (b"400", {"a": b"\x1b[2J"}),
}


class H2Peer:
    """An HTTP/2 client that does not validate its requests."""

    def __init__(self, stream: trio.abc.HalfCloseableStream) -> None:
        self._stream = stream
        self._connection = h2.connection.H2Connection(
            h2.config.H2Configuration(
                header_encoding=None,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self._connection.initiate_connection()

    async def send(self, fields: dict[str, bytes], *, end: bool = True) -> None:
        """Send a request with these fields."""
        stream_id = self._connection.get_next_available_stream_id()
        headers = [(name.encode(), value) for name, value in fields.items()]
        self._connection.send_headers(stream_id, headers, end_stream=end)
        await self._stream.send_all(self._connection.data_to_send())

    async def ask(self, fields: dict[str, bytes], *, end: bool = True) -> tuple[bytes, bytes]:
        """Send a request and return the status and the body of the response."""
        await self.send(fields, end=end)
        status = body = b""
        while True:
            data = await self._stream.receive_some()
            assert data, "the connection was closed"
            for event in self._connection.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    status = dict(event.headers or [])[b":status"]
                elif isinstance(event, h2.events.DataReceived):
                    body += event.data or b""
                elif isinstance(event, h2.events.StreamEnded):
                    return status, body


@pytest.mark.parametrize("end", [True, False])
@pytest.mark.parametrize("name", H2_REFUSED)
async def test_refused_http2_requests_end_only_their_stream(
    autojump_clock: MockClock, name: str, end: bool
) -> None:
    wanted, fields = H2_REFUSED[name]
    async with connected(http2=True) as stream:
        peer = H2Peer(stream)
        status, body = await peer.ask(VALID | fields, end=end)
        assert status == wanted
        assert msgspec.json.decode(body)["error"]["message"]
        assert await peer.ask(VALID) == (b"200", b'["GET","/","t",""]')


async def test_connection_is_idle_after_a_refused_http2_request(autojump_clock: MockClock) -> None:
    began = trio.current_time()
    async with connected(http2=True) as stream:
        await H2Peer(stream).ask(VALID | {":path": b"*"})
        await read_all(stream)
    assert trio.current_time() - began == pytest.approx(ServerSettings().keep_alive_s)


# Exceptions that nothing foresees


def fail(*_: object) -> None:
    raise KeyError("in a library")


async def test_unexpected_exception_is_answered_with_400(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.server.protocols.http1.request_event", fail)
    began = trio.current_time()
    async with connected(logged=("malformed input",)) as stream:
        await stream.send_all(get() + get())
        answer = await read_all(stream)
        assert trio.current_time() == began
    assert answer.count(b"HTTP/1.1 ") == answer.count(b"HTTP/1.1 400 ") == 1


async def test_unexpected_exception_of_http2_is_answered_with_goaway(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.server.protocols.http2.request_event", fail)
    async with connected(http2=True, logged=("malformed input",)) as stream:
        peer = H2Peer(stream)
        await peer.send(VALID)
        goaway = GoAwayFrame(0, last_stream_id=1, error_code=ErrorCodes.PROTOCOL_ERROR)
        assert goaway.serialize() in await read_all(stream)


async def test_unexpected_exception_of_a_websocket_closes_it_with_1002(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.server.protocols.websocket.WebsocketStream._handle_events", fail)
    async with connected(logged=("malformed input",)) as stream:
        await stream.send_all(WEBSOCKET)
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 101 ")
        await stream.send_all(b"\x89\x80\0\0\0\0")
        assert (await read_all(stream)).endswith(b"\x88\x02\x03\xea")  # after a ping


# Properties of the buffer

TOKENS = st.text("abcXYZ019!#$%&'*+-.^_`|~", min_size=1, max_size=8)
VALUES = st.binary(max_size=12).map(lambda b: bytes(c for c in b if c > 0x20 and c != 0x7F))
TARGETS = st.text("/?#[]@!$&'()*+,;=%-._~aZ0:\"<>\\^`{|}", max_size=12).map(lambda t: "/" + t)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Return a request as h11 sends it, with a body."""
    client = h11.Connection(h11.CLIENT)
    parts = draw(st.lists(st.binary(min_size=1, max_size=9), max_size=3))
    chunked = draw(st.booleans())
    length = ("Content-Length", str(sum(map(len, parts))))
    names = st.tuples(TOKENS.map("X-".__add__), VALUES)
    headers: list[tuple[str | bytes, str | bytes]] = [("Host", "t"), *draw(st.lists(names))]
    headers.append(("Transfer-Encoding", "chunked") if chunked else length)
    method = draw(st.sampled_from(sorted(METHODS)))
    head = h11.Request(method=method, target=draw(TARGETS), headers=headers)  # type: ignore[arg-type]  # str and bytes may be mixed
    trailers = draw(st.lists(names)) if chunked else []
    events = [head, *(h11.Data(data=part) for part in parts), h11.EndOfMessage(headers=trailers)]  # type: ignore[arg-type]  # as above
    return b"".join(client.send(event) or b"" for event in events)


def parsed(pieces: list[bytes], *, strict: bool) -> list[object]:
    """Return head, body and trailers of a request that is received in these pieces."""
    server = h11.Connection(h11.SERVER)
    if strict:
        server._receive_buffer = StrictBuffer()
    head: h11.Request | None = None
    body = b""
    for piece in pieces:
        server.receive_data(piece)
        while (event := server.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            if isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return [head, body, event.headers]
    raise AssertionError("the request is not complete")


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut `data` at these offsets, as far as it has them."""
    offsets = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[a:b] for a, b in pairwise(offsets) if a < b]


@settings(max_examples=examples(400))
@given(requests(), st.lists(st.integers(0, 2000), max_size=6))
def test_every_request_of_h11_is_accepted_unchanged(data: bytes, cuts: list[int]) -> None:
    assert parsed(cut(data, cuts), strict=True) == parsed([data], strict=False)


def lines_of(buffer: StrictBuffer, pieces: list[bytes]) -> list[bytes] | None:
    """Return the lines of a head that is received in these pieces; None if it is an error."""
    for piece in pieces:
        buffer.__iadd__(piece)
        try:
            lines = buffer.maybe_extract_lines()
        except h11.LocalProtocolError:
            return None
        if lines is not None:
            return [bytes(line) for line in lines]
    return []


RAW = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b" ", b"\t", b"\x00", b"b: c"]))


@settings(max_examples=examples(1000))
@given(RAW.map(b"".join), st.lists(st.integers(0, 60), max_size=5))
@example(b"a\r\n\r\n", [2, 4])
@example(b"\r\n\r\na\r\n\r\n", [1, 3])
def test_bytes_are_read_the_same_in_all_pieces(data: bytes, cuts: list[int]) -> None:
    whole = lines_of(StrictBuffer(), [data])
    assert lines_of(StrictBuffer(), cut(data, cuts)) == whole
    if whole:
        found = data.lstrip(b"\r\n").partition(b"\r\n\r\n")[0]
        assert b"\r\n".join(whole) == found
        assert not {b"\r", b"\n", b"\x00"} & {bytes([c]) for line in whole for c in line}
