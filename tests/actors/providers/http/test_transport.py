"""Tests of the transport over scripted connections: framing, reuse, failures, cancellation."""

from collections.abc import AsyncIterator

import httpx
import pytest
import trio

from actors.providers.http.connection import Disconnected
from actors.providers.http.response import ResponseBody
from actors.providers.http.transport import Statistics, TrioTransport
from tests.support.scripted_connections import (
    LAST,
    SILENCE,
    CancelAtStep,
    Line,
    MemoryWire,
    Peer,
    chunked,
    head,
)

CHUNKED = "transfer-encoding: chunked"
NOTHING = Statistics(connecting=0, open=0, idle=0)
IDLE = Statistics(connecting=0, open=1, idle=1)
BUSY = Statistics(connecting=0, open=1, idle=0)


def post(url: str = "http://up:8000/v1/x?y=1", **timeout: float) -> httpx.Request:
    return httpx.Request(
        "POST", url, content=b"{}", headers={"x-key": "k"}, extensions={"timeout": timeout}
    )


async def opened(transport: TrioTransport) -> ResponseBody:
    response = await transport.handle_async_request(post())
    body = response.stream
    assert isinstance(body, ResponseBody)
    return body


async def read(transport: TrioTransport, request: httpx.Request | None = None) -> bytes:
    """Return the body of a response, read and closed as httpx does."""
    response = await transport.handle_async_request(request or post())
    content = await response.aread()
    await response.aclose()
    return content


async def test_a_request_and_its_response() -> None:
    wire = MemoryWire(head(200, CHUNKED, "X-A: b") + chunked(b"abc"), chunked(b"de") + LAST)
    peer = Peer(wire)
    transport = peer.transport()
    response = await transport.handle_async_request(post())
    assert (response.status_code, response.headers["x-a"]) == (200, "b")
    assert (response.http_version, response.reason_phrase) == ("HTTP/1.1", "Some")
    assert await response.aread() == b"abcde"
    await response.aclose()
    assert peer.connects == [("up", 8000, False)]
    assert wire.sent == (
        b"POST /v1/x?y=1 HTTP/1.1\r\nHost: up:8000\r\nx-key: k\r\nContent-Length: 2\r\n\r\n{}"
    )
    assert transport.statistics() == IDLE


async def test_one_read_is_one_piece() -> None:
    wire = MemoryWire(
        head(200, CHUNKED), chunked(b"a", b"b", b"c") + b"4\r\nde", b"fg\r\n0\r\n", b"\r\n"
    )
    body = await opened(Peer(wire).transport())
    assert [await body.receive() for _ in range(4)] == [b"abcde", b"fg", b"", b""]
    body.release()


async def test_a_streamed_request_is_sent_in_chunks() -> None:
    async def content() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"c"

    wire = MemoryWire(head(204))
    request = httpx.Request("POST", "http://up/", content=content())
    await Peer(wire).transport().handle_async_request(request)
    assert wire.sent.endswith(b"\r\n\r\n3\r\nabc\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    ("script", "content", "kept"),
    [
        ([head(200, "content-length: 3") + b"abc"], b"abc", True),
        ([head(200, "content-length: 3"), b"a", b"bc"], b"abc", True),
        ([head(200, "content-length: 0")], b"", True),
        ([head(204)], b"", True),
        ([head(200, CHUNKED) + LAST], b"", True),
        ([head(200, "content-length: 3") + b"abcd"], b"abc", False),
        ([head(200, CHUNKED, "Connection: Keep-Alive, Close") + LAST], b"", False),
        ([head(200, CHUNKED, "content-length: 9") + chunked(b"a") + LAST], b"a", False),
        ([head(200, "content-length: 3", version="1.0") + b"abc"], b"abc", False),
        ([head(200) + b"ab", b"c", b""], b"abc", False),
        ([head(200, version="1.0"), b"abc", b""], b"abc", False),
        ([head(103, "link: x") + head(100) + head(200, "content-length: 1") + b"a"], b"a", True),
        ([head(100), head(200, "content-length: 1")[:9], b"", b""], None, False),
    ],
)
async def test_body_framing_decides_connection_reuse(
    script: list[bytes], content: bytes | None, kept: bool
) -> None:
    wire = MemoryWire(*script)
    transport = Peer(wire).transport()
    if content is None:
        with pytest.raises(httpx.RemoteProtocolError):
            await read(transport)
    else:
        assert await read(transport) == content
    assert transport.statistics() == (IDLE if kept else NOTHING)
    assert wire.closed is not kept


async def test_connection_close_request_prevents_reuse() -> None:
    transport = Peer(MemoryWire(head(204))).transport()
    await read(transport, httpx.Request("GET", "http://up", headers={"connection": "close"}))
    assert transport.statistics() == NOTHING


@pytest.mark.parametrize(
    "script",
    [
        [b"SSH-2.0-OpenSSH\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nno field\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nx: ", *[b"y" * 60000] * 2],
        [head(101, "upgrade: x")],
        [b"HTTP/1.1 200 OK\r\nx: ", b""],
        [head(200, CHUNKED) + b"nope\r\n"],
    ],
    ids=lambda script: ascii(script[0][:40]),
)
async def test_malformed_responses(script: list[bytes]) -> None:
    wire = MemoryWire(*script)
    transport = Peer(wire).transport()
    with pytest.raises(httpx.RemoteProtocolError) as caught:
        await read(transport)
    assert not isinstance(caught.value, Disconnected)
    assert wire.closed
    assert transport.statistics() == NOTHING


async def test_a_cut_body_closes_its_connection() -> None:
    for end, failure in ((b"", httpx.RemoteProtocolError), (httpx.ReadError("x"), httpx.ReadError)):
        wire = MemoryWire(head(200, CHUNKED) + chunked(b"a"), b"3\r\nb", end)
        transport = Peer(wire).transport()
        body = await opened(transport)
        assert [await body.receive(), await body.receive()] == [b"a", b"b"]
        with pytest.raises(failure):
            await body.receive()
        await body.aclose()
        assert wire.closed
        assert transport.statistics() == NOTHING


async def test_an_invalid_request_is_refused_without_quoting_it() -> None:
    wire = MemoryWire()
    transport = Peer(wire).transport()
    request = httpx.Request("POST", "http://up/", headers={"authorization": "Bearer sk-1\n"})
    with pytest.raises(httpx.LocalProtocolError) as caught:
        await transport.handle_async_request(request)
    assert "sk-1" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert (wire.sent, wire.closed) == (b"", True)
    assert transport.statistics() == NOTHING


async def test_connections_are_used_again() -> None:
    answer = head(200, "content-length: 1") + b"a"
    first, second = MemoryWire(answer, 0.0, answer), MemoryWire(answer)
    transport = Peer(first, second).transport()
    for _ in range(2):
        assert await read(transport) == b"a"
    assert transport.statistics() == IDLE
    assert await read(transport, post("http://other:8000/")) == b"a"
    assert second.sent
    assert transport.statistics() == Statistics(connecting=0, open=2, idle=2)


async def test_a_body_left_at_its_end_marker_keeps_its_connection() -> None:
    answer = head(200, CHUNKED) + chunked(b"[DONE]")
    wire = MemoryWire(answer)
    transport = Peer(wire).transport()
    body = await opened(transport)
    assert await body.receive() == b"[DONE]"
    body.release(saw_end_marker=True)
    assert transport.statistics() == IDLE
    wire.script += [LAST[:3], LAST[3:], 0.0, answer]
    again = await opened(transport)
    assert await again.receive() == b"[DONE]"
    assert transport.statistics() == BUSY
    again.close()
    assert wire.closed


@pytest.mark.parametrize(
    "came",
    [
        [],
        [LAST[:3]],
        [LAST, b""],
        [LAST + b"x"],
        [LAST, b"HTTP/1.1 200 OK\r\n"],
        [chunked(b"x" * 70000)] * 5 + [LAST],
        [b"nonsense"],
        [b""],
        [httpx.ReadError("reset")],
    ],
    ids=lambda came: ascii(came)[:40],
)
async def test_released_connection_without_a_clean_end_is_closed(
    came: list[Line],
) -> None:
    old = MemoryWire(head(200, CHUNKED) + chunked(b"[DONE]"))
    new = MemoryWire(head(200, "content-length: 1") + b"a")
    transport = Peer(old, new).transport()
    body = await opened(transport)
    await body.receive()
    body.release(saw_end_marker=True)
    old.script += came
    assert await read(transport) == b"a"
    assert old.closed
    assert transport.statistics() == IDLE


async def test_an_idle_connection_that_died_is_not_used() -> None:
    answer = head(200, "content-length: 1") + b"a"
    for sign in (b"", b"HTTP/1.1 408 Request Timeout\r\n\r\n", httpx.ReadError("reset")):
        old, new = MemoryWire(answer), MemoryWire(answer)
        transport = Peer(old, new).transport()
        await read(transport)
        old.script.append(sign)
        asked = old.sent
        assert await read(transport) == b"a"
        assert (old.sent, old.closed) == (asked, True)


@pytest.mark.parametrize("end", [b"", httpx.ReadError("reset")])
async def test_a_reused_connection_that_dies_unanswered_is_tried_once_more(
    end: bytes | httpx.ReadError,
) -> None:
    answer = head(200, "content-length: 1") + b"a"
    old, new = MemoryWire(answer), MemoryWire(answer)
    transport = Peer(old, new).transport()
    await read(transport)
    old.script += [0.0, end]
    old.broken = True
    assert await read(transport) == b"a"
    assert (old.closed, new.closed) == (True, False)
    assert transport.statistics() == IDLE


async def test_only_unanswered_requests_on_reused_connections_are_retried() -> None:
    answer = head(200, "content-length: 1") + b"a"
    unanswered = MemoryWire(b"")
    transport = Peer(unanswered, MemoryWire(answer)).transport()
    with pytest.raises(Disconnected):
        await read(transport)
    half = MemoryWire(answer, 0.0, b"HTTP/1.1 2", b"")
    transport = Peer(half, MemoryWire(answer)).transport()
    await read(transport)
    with pytest.raises(httpx.RemoteProtocolError):
        await read(transport)
    twice = MemoryWire(answer, 0.0, b"")
    transport = Peer(twice, MemoryWire(b"")).transport()
    await read(transport)
    with pytest.raises(Disconnected):
        await read(transport)
    assert transport.statistics() == NOTHING


async def test_request_that_may_have_been_received_is_not_retried(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A gateway that times out on a slow model closes like one that never got the request."""
    answer = head(200, "content-length: 1") + b"a"
    slow, spare = MemoryWire(answer, 20.0, b""), MemoryWire(answer)
    transport = Peer(slow, spare).transport()
    await read(transport)
    with pytest.raises(Disconnected):
        await read(transport)
    assert not spare.opened
    assert transport.statistics() == NOTHING


async def test_early_response_is_read_after_failed_send() -> None:
    wire = MemoryWire(head(413, "content-length: 0"))
    wire.broken = True
    response = await Peer(wire).transport().handle_async_request(post())
    assert response.status_code == 413


async def test_idle_connections_expire(autojump_clock: trio.testing.MockClock) -> None:
    answer = head(204)
    old, new = MemoryWire(answer), MemoryWire(answer)
    transport = Peer(old, new).transport(idle_s=30.0)
    await read(transport)
    await trio.sleep(30)
    await read(transport)
    assert old.closed
    assert new.sent


async def test_idle_connections_are_bounded() -> None:
    wires = [MemoryWire(head(204)) for _ in range(3)]
    transport = Peer(*wires).transport(max_idle=2)
    responses = [await transport.handle_async_request(post()) for _ in wires]
    for response in responses:
        await response.aclose()
    assert [wire.closed for wire in wires] == [True, False, False]
    assert transport.statistics() == Statistics(connecting=0, open=2, idle=2)


async def test_closing_the_transport_closes_all() -> None:
    wires = [MemoryWire(head(204)), MemoryWire(head(200, CHUNKED))]
    transport = Peer(*wires).transport()
    await read(transport)
    wires[0].script.append(0.0)
    in_use = await transport.handle_async_request(post("http://other/"))
    await transport.aclose()
    assert all(wire.closed for wire in wires)
    await in_use.aclose()
    assert transport.statistics() == NOTHING


async def test_refusals_and_missing_tls() -> None:
    transport = Peer().transport()
    with pytest.raises(httpx.ConnectError):
        await read(transport)
    with pytest.raises(httpx.UnsupportedProtocol):
        await read(transport, post("https://up/"))
    assert transport.statistics() == NOTHING


async def test_per_request_timeouts(autojump_clock: trio.testing.MockClock) -> None:
    slow = Peer(MemoryWire(head(204)), connect_s=3.0)
    with pytest.raises(httpx.ConnectTimeout):
        await read(slow.transport(), post(connect=2.0))
    assert trio.current_time() == pytest.approx(2.0)
    await read(slow.transport(), post(connect=4.0))
    silent = Peer(MemoryWire(SILENCE)).transport()
    with pytest.raises(httpx.ReadTimeout):
        await read(silent, post(read=2.0))
    pausing = Peer(MemoryWire(head(200, CHUNKED), 3.0, LAST)).transport()
    with pytest.raises(httpx.ReadTimeout):
        await read(pausing, post(read=2.0))
    assert silent.statistics() == NOTHING


async def test_an_abandoned_body_closes_its_connection_before_returning() -> None:
    for leave in (ResponseBody.close, ResponseBody.release):
        wire = MemoryWire(head(200, CHUNKED) + chunked(b"a"))
        transport = Peer(wire).transport()
        body = await opened(transport)
        leave(body)
        assert wire.closed
        assert transport.statistics() == NOTHING
        body.release(saw_end_marker=True)
        assert transport.statistics() == NOTHING


async def test_a_closed_body_cannot_be_read() -> None:
    body = await opened(Peer(MemoryWire(head(200, CHUNKED), b"")).transport())
    body.close()
    with pytest.raises(httpx.StreamClosed):
        await body.receive()


async def two_requests(transport: TrioTransport) -> None:
    for _ in range(2):
        response = await transport.handle_async_request(post())
        try:
            await response.aread()
        finally:
            await response.aclose()


def two_answers() -> list[MemoryWire]:
    answer: list[Line] = [head(100), head(200, CHUNKED), chunked(b"a"), 0.0, LAST]
    return [MemoryWire(*answer, 0.0, b""), MemoryWire(*answer)]


async def test_cancellation_at_any_step_leaves_nothing_open() -> None:
    step, finished = 0, False
    while not finished:
        step += 1
        wires = two_answers()
        transport = Peer(*wires).transport()
        with trio.CancelScope() as scope:
            instrument = CancelAtStep(trio.lowlevel.current_task(), scope, step)
            trio.lowlevel.add_instrument(instrument)
            await two_requests(transport)
            finished = True
        if not finished:
            trio.lowlevel.remove_instrument(instrument)
        statistics = transport.statistics()
        assert statistics.connecting == 0
        assert statistics.open == statistics.idle
        assert sum(wire.opened and not wire.closed for wire in wires) == statistics.idle
        await transport.aclose()
        assert transport.statistics() == NOTHING
        assert all(wire.closed for wire in wires if wire.opened)
    assert step > 12
    trio.lowlevel.remove_instrument(instrument)
