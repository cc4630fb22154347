"""Tests of response and request heads, which must be read and written as h11 does."""

import h11
import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actors.providers.http import heads
from actors.providers.http.heads import MAX_HEAD, Head, receive_head, request_bytes
from tests.support.scripted_connections import MemoryWire

_LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"content-length: 3",
                b"Content-Length: 3",
                b"content-length: 3, 3",
                b"content-length: +3",
                b"content-length: 03",
                b"content-length:",
                b"content-length: 1234567890123456789012",
                b"transfer-encoding: chunked",
                b"Transfer-Encoding:Chunked ",
                b"transfer-encoding: gzip, chunked",
                b"x-a: b",
                b"x-a:\tb c  ",
                b"x-empty:",
                b" folded",
                b"bad name: x",
                b": nameless",
                b"no colon",
                b"x-high: caf\xc3\xa9",
                b"x-control: a\x01b",
                b"x-null: a\0b",
                b"x-cr: a\rb",
            ]
        ),
        st.binary(max_size=6),
    ),
    max_size=4,
)
_STATUS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 204",
        b"HTTP/1.1 404 ",
        b"HTTP/1.1 200OK",
        b"HTTP/1.1 200 Caf\xe9",
        b"HTTP/1.1 999 No",
        b"HTTP/1.1 99 No",
        b"HTTP/1.0 200 OK",
        b"HTTP/2.0 200 OK",
        b"http/1.1 200 OK",
        b"HTTP/1.1  200 OK",
    ]
)


def _by_h11(data: bytes) -> Head | None:
    protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
    protocol.send(h11.Request(method="POST", target="/", headers=[("host", "any")]))
    protocol.send(h11.EndOfMessage())
    protocol.receive_data(data)
    try:
        event = protocol.next_event()
    except h11.RemoteProtocolError:
        return None
    if not isinstance(event, h11.Response):
        return None
    rest = protocol.trailing_data[0]
    return Head(event.status_code, event.http_version, event.reason, list(event.headers), rest)


@given(_STATUS, _LINES, st.sampled_from([b"\r\n", b"\n"]), st.binary(max_size=4))
@example(b"HTTP/1.1 200 OK", [b"content-length: 3"], b"\r\n", b"abc")
def test_plain_response_head_matches_h11(
    status: bytes, lines: list[bytes], end: bytes, rest: bytes
) -> None:
    data = end.join([status, *lines, b"", b""]) + rest
    plain = heads._plain_head(data)
    if plain is not None:
        assert plain == _by_h11(data)


@pytest.mark.parametrize(
    "fields",
    [
        b"content-type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n",
        b"content-length: 3\r\nx-empty:\r\n",
        b"server: x\r\n",
    ],
)
def test_common_heads_are_plain(fields: bytes) -> None:
    assert heads._plain_head(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\nabc") is not None


@pytest.mark.parametrize("at", range(1, 60))
async def test_a_head_may_be_cut_anywhere(at: int) -> None:
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-A: b, c\r\n\r\nabc"
    cut = await receive_head(MemoryWire(data[:at], data[at:]), "POST")
    assert (cut.status, cut.headers) == (200, [(b"content-length", b"3"), (b"x-a", b"b, c")])


async def test_oversized_head_is_refused() -> None:
    long = b"x-a: " + b"b" * MAX_HEAD
    data = b"HTTP/1.1 200 OK\r\n" + long + b"\r\n\r\n"
    assert heads._plain_head(data) is None
    with pytest.raises(httpx.RemoteProtocolError):
        await receive_head(MemoryWire(data[:-2], data[-2:]), "POST")


_NAMES = st.sampled_from(["x-a", "Content-Length", "host", "transfer-encoding", "upgrade", "x b"])
_VALUES = st.sampled_from(
    ["2", "3", "b c", " b", "b ", "b  c", "chunked", "", "a\nb", "b\r\nx-c: d", "h2c"]
)


@given(
    st.sampled_from(["POST", "GET", "get", "PO ST"]),
    st.lists(st.tuples(_NAMES, _VALUES), max_size=3),
    st.sampled_from([b"", b"ab", b"abc"]),
)
@example("POST", [("Content-Length", "2")], b"ab")
def test_request_head_matches_h11(
    method: str, fields: list[tuple[str, str]], content: bytes
) -> None:
    request = httpx.Request(
        method,
        "http://up/a?b=c",
        headers=[("host", "up"), *fields],
        stream=httpx.ByteStream(content),
    )
    try:
        expected = heads._unusual_request(request, content)
    except httpx.LocalProtocolError:
        with pytest.raises(httpx.LocalProtocolError):
            request_bytes(request, content)
    else:
        assert request_bytes(request, content) == expected
