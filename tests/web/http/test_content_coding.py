"""Tests of compressed request bodies: what is decoded, and in which pieces."""

import gzip
import json
import sys
import zlib
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.support.edge_harness import chat_body, open_harness
from tests.support.turn_fakes import ScriptedProvider, stop, text
from web.http.content_coding import PIECE, MalformedBody, decoded_pieces

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "zstd": zstd.compress,
}
SIZES = [0, 1, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE]


def decoded(body: bytes, coding: str) -> bytes:
    return b"".join(decoded_pieces(body, coding))


@pytest.mark.parametrize("coding", CODERS)
@given(data=st.one_of(st.binary(max_size=300), st.sampled_from(SIZES).map(bytes)))
def test_body_is_what_it_was_before_its_coding(coding: str, data: bytes) -> None:
    body = CODERS[coding](data)
    pieces = list(decoded_pieces(body, coding))
    assert b"".join(pieces) == data
    assert all(len(piece) <= PIECE for piece in pieces)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("coding", CODERS)
def test_body_that_is_cut_or_continued_is_malformed(coding: str, size: int) -> None:
    body = CODERS[coding](bytes(size))
    for wrong in (body[:-1], body[: len(body) // 2], body + b"x", body + body, b"x" + body):
        with pytest.raises(MalformedBody):
            decoded(wrong, coding)


@pytest.mark.parametrize("coding", CODERS)
@given(body=st.binary(min_size=1, max_size=100))
def test_any_bytes_are_decoded_or_malformed(coding: str, body: bytes) -> None:
    with suppress(MalformedBody):
        decoded(body, coding)


@pytest.mark.parametrize("coding", CODERS)
def test_little_is_decoded_of_a_body_that_is_not_read_on(coding: str) -> None:
    body = CODERS[coding](bytes(1 << 30 if coding == "zstd" else 1 << 24))
    assert len(next(decoded_pieces(body, coding))) <= PIECE


def test_frame_that_demands_much_memory_is_malformed() -> None:
    level, window = (
        zstd.CompressionParameter.compression_level,
        zstd.CompressionParameter.window_log,
    )
    encoder = zstd.ZstdCompressor(options={int(level): 19, int(window): 27})
    body = encoder.compress(b"x") + encoder.flush()
    with pytest.raises(MalformedBody, match="memory"):
        decoded(body, "zstd")


REQUESTS = {
    "/v1/chat/completions": chat_body(),
    "/v1/messages": chat_body(max_tokens=5),
    "/v1/messages/count_tokens": chat_body(),
    "/v1/responses": {"model": "large", "input": "Hi"},
    "/v1/responses/input_tokens": {"model": "large", "input": "Hi"},
}


@pytest.mark.parametrize("coding", ["gzip", "GZip", "x-gzip", "zstd", "identity", ""])
@pytest.mark.parametrize("path", REQUESTS)
async def test_every_surface_takes_compressed_bodies(
    autojump_clock: MockClock, path: str, coding: str
) -> None:
    body = CODERS.get(coding.lower(), bytes)(json.dumps(REQUESTS[path]).encode())
    headers = {"content-type": "application/json", "content-encoding": coding}
    async with open_harness(ScriptedProvider(text("Hi"), stop())) as harness:
        response = await harness.post(path, content=body, headers=headers)
        assert response.status_code == 200, response.text


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, zstd", "gzip, gzip", "é", "x" * 500])
@pytest.mark.parametrize("path", REQUESTS)
async def test_other_codings_are_415(autojump_clock: MockClock, path: str, coding: str) -> None:
    headers = {b"content-encoding": coding.encode()}
    async with open_harness() as harness:
        response = await harness.post(path, content=b"{}", headers=headers)
        assert response.status_code == 415
        assert response.headers["accept-encoding"] == "gzip, zstd"
        error = response.json()["error"]
        assert error["type"] == "invalid_request_error"
        assert "Use one of gzip, zstd, or none." in error["message"]


async def test_decoded_body_is_limited(autojump_clock: MockClock) -> None:
    async with open_harness(limits={"body_bytes": 2 * PIECE}) as harness:
        for coding, code in CODERS.items():
            body = code(b" " * 2 * PIECE + b"{}")
            headers = {"content-encoding": coding}
            response = await harness.post("/v1/messages", content=body, headers=headers)
            assert response.status_code == 413
            assert response.json()["error"]["type"] == "request_too_large"


@pytest.mark.parametrize(
    "body",
    [b"{}", zlib.compress(b"{}"), gzip.compress(b"{}")[:-1]],
    ids=["plain", "zlib", "cut"],  # gzip's bytes contain the time
)
async def test_body_that_is_not_what_it_says_is_a_400(
    autojump_clock: MockClock, body: bytes
) -> None:
    async with open_harness() as harness:
        headers = {"content-encoding": "gzip"}
        response = await harness.post("/v1/responses", content=body, headers=headers)
        assert response.status_code == 400
        assert "The body is not valid gzip: " in response.json()["error"]["message"]


async def test_coding_of_no_body_is_ignored(autojump_clock: MockClock) -> None:
    async with open_harness() as harness:
        response = await harness.post("/v1/responses", headers={"content-encoding": "gzip"})
        assert response.status_code == 400
        assert "not valid JSON" in response.json()["error"]["message"]
