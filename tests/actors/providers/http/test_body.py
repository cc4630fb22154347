"""Tests of the body reader: framing, independence of cuts, and malformed input."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.providers.http.body import Body, ChunkedBody, LengthBody, body_for
from tests.support.scripted_connections import pieces_of, splits

CHUNKS = st.lists(st.binary(min_size=1, max_size=40), max_size=6)
EXTENSIONS = st.sampled_from([b"", b";a", b";a=b", b' ; a="x y"', b"\t;q"])
TRAILERS = st.sampled_from([b"", b"Digest: abc\r\n", b"A: 1\r\nB-C:\r\n"])
CUTS = st.lists(st.integers(min_value=0, max_value=2000), max_size=12)


def fed(body: Body, pieces: list[bytes]) -> bytes:
    payload = b""
    for piece in filter(None, pieces):
        payload += body.feed(piece)
        if body.broken is not None:
            raise body.broken
    return payload


@given(CHUNKS, EXTENSIONS, TRAILERS, st.booleans(), CUTS)
def test_chunks_are_complete_at_any_cut(
    chunks: list[bytes], extension: bytes, trailers: bytes, upper: bool, cuts: list[int]
) -> None:
    size = b"%X" if upper else b"%x"
    lines = [size % len(chunk) + extension + b"\r\n" + chunk + b"\r\n" for chunk in chunks]
    stream = b"".join(lines) + b"000" + extension + b"\r\n" + trailers + b"\r\n"
    body = ChunkedBody()
    assert fed(body, pieces_of(stream, cuts)) == b"".join(chunks)
    assert body.complete
    assert body.clean
    body.end()


def test_one_read_gives_one_piece() -> None:
    body = ChunkedBody()
    assert body.feed(b"3\r\nabc\r\n2\r\nde\r\n5\r\nfg") == b"abcdefg"
    assert body.feed(b"hij\r\n0\r\n\r\n") == b"hij"
    assert body.complete


@pytest.mark.parametrize(
    "stream",
    [
        b"xyz\r\nabc\r\n0\r\n\r\n",
        b"-3\r\nabc\r\n0\r\n\r\n",
        b"+3\r\nabc\r\n0\r\n\r\n",
        b"0x3\r\nabc\r\n0\r\n\r\n",
        b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n",
        b" 3\r\nabc\r\n0\r\n\r\n",
        b"\r\nabc\r\n0\r\n\r\n",
        b"3\nabc\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        b"3;a\0b\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"3\r\nabc\r0\r\n\r\n",
        b"3\r\nabc0\r\n\r\n",
        b"3\r\nabc\r\n0\r\nno field\r\n\r\n",
        b"3\r\nabc\r\n0\r\n: no name\r\n\r\n",
        b"3;" + b"x" * 5000 + b"\r\nabc\r\n0\r\n\r\n",
        b"0\r\n" + b"a: b\r\n" * 4000 + b"\r\n",
    ],
    ids=lambda stream: ascii(stream[:24]),
)
def test_wrong_framing_is_refused_at_any_cut(stream: bytes) -> None:
    for pieces in [[stream], [stream[at : at + 1] for at in range(len(stream))]]:
        with pytest.raises(httpx.RemoteProtocolError):
            fed(ChunkedBody(), pieces)


def test_complete_data_before_broken_framing_is_returned_first() -> None:
    body = ChunkedBody()
    assert body.feed(b"3\r\nabc\r\n2\r\nde\r\nxyz\r\n") == b"abcde"
    assert body.broken is not None
    assert not body.complete


def test_end_before_the_last_chunk_is_truncation() -> None:
    stream = b"3\r\nabc\r\n0;x\r\nT: 1\r\n\r\n"
    for at in range(len(stream)):
        body = ChunkedBody()
        fed(body, [stream[:at]])
        assert not body.complete
        with pytest.raises(httpx.RemoteProtocolError):
            body.end()


def test_bytes_after_the_last_chunk_prevent_reuse() -> None:
    for pieces in splits(b"1\r\na\r\n0\r\n\r\nHTTP/1.1 200"):
        body = ChunkedBody()
        assert fed(body, pieces) == b"a"
        assert body.complete
        assert not body.clean


def test_content_length_is_enforced() -> None:
    for pieces in splits(b"abcdef"):
        body = LengthBody(6)
        assert fed(body, pieces) == b"abcdef"
        assert body.complete
        assert body.clean
        body.end()
    short, long = LengthBody(7), LengthBody(2)
    assert short.feed(b"abc") == b"abc"
    with pytest.raises(httpx.RemoteProtocolError):
        short.end()
    assert long.feed(b"abc") == b"ab"
    assert long.complete
    assert not long.clean


def test_a_body_without_framing_ends_with_its_connection() -> None:
    body = Body()
    assert body.feed(b"abc") == b"abc"
    before = body.complete
    body.end()
    assert (before, body.complete, body.clean) == (False, True, False)


@pytest.mark.parametrize(
    ("method", "status", "fields", "kind"),
    [
        ("POST", 200, [(b"transfer-encoding", b"chunked"), (b"content-length", b"3")], ChunkedBody),
        ("POST", 200, [(b"content-length", b"3")], LengthBody),
        ("POST", 200, [], Body),
        ("HEAD", 200, [(b"content-length", b"3")], LengthBody),
        ("POST", 204, [], LengthBody),
        ("GET", 304, [(b"transfer-encoding", b"chunked")], LengthBody),
    ],
)
def test_the_head_chooses_the_reader(
    method: str, status: int, fields: list[tuple[bytes, bytes]], kind: type[Body]
) -> None:
    body = body_for(method, status, fields)
    assert type(body) is kind
    assert body.complete == (method == "HEAD" or status in (204, 304))


def test_excessive_content_length_is_refused() -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        body_for("POST", 200, [(b"content-length", b"9" * 19)])
