"""Limits on HTTP/2 frames: checked at each frame's header, wherever the data is cut."""

import pytest
from h2.errors import ErrorCodes
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.scripted_connections import pieces_of
from tests.support.sizes import examples
from web.server.protocols.frame_limits import (
    FRAMES_IN_A_ROW,
    ControlRate,
    FrameLimitExceeded,
    FrameScanner,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = (
    *(0, 1, 2, 3, 4, 6),
    *(8, 9),
)
END_STREAM, END_HEADERS = 1, 4
MAX_FRAME, MAX_BLOCK = 16_384, 32_768


def frame(kind: int, payload: bytes = b"", flags: int = 0) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags, 0, 0, 0, 1]) + payload


def scanner() -> FrameScanner:
    return FrameScanner(MAX_FRAME, MAX_BLOCK, 0.0)


def outcome(*pieces: bytes) -> ErrorCodes | None:
    """Return the error that the pieces, received at once, cause."""
    one = scanner()
    try:
        for piece in pieces:
            list(one.split(piece, 0.0))
    except FrameLimitExceeded as error:
        return error.code
    return None


FRAMES = st.lists(
    st.builds(
        frame,
        st.sampled_from([DATA, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE]),
        st.integers(0, 300).map(bytes),
    ),
    max_size=60,
)


@settings(max_examples=examples(200))
@given(FRAMES, st.lists(st.integers(0, 20_000), max_size=20))
def test_data_passes_unchanged_in_pieces_of_few_frames(
    frames: list[bytes], cuts: list[int]
) -> None:
    one, passed = scanner(), b""
    data = PREFACE + b"".join(frames)
    ends = [len(PREFACE + b"".join(frames[:n])) for n in range(len(frames) + 1)]
    for piece in pieces_of(data, cuts):
        for part in one.split(piece, 0.0):
            completed = sum(len(passed) < end <= len(passed) + len(part) for end in ends)
            assert completed <= FRAMES_IN_A_ROW + 1  # the preface is not a frame
            passed += part
        assert passed in data
        assert one.unfinished == len(passed) - max(
            [0, *(end for end in ends if end <= len(passed))]
        )
    assert passed == data


def test_each_piece_completes_at_most_one_request() -> None:
    whole = frame(HEADERS, b"x", END_HEADERS)
    halves = frame(HEADERS, b"x") + frame(CONTINUATION, b"", END_HEADERS)
    data = PREFACE + whole * 40 + halves * 40 + frame(DATA, b"x") * 32
    assert len(list(scanner().split(data, 0.0))) == 40 + 40 + 2 + 1


@pytest.mark.parametrize("kind", [DATA, HEADERS, SETTINGS, 0xFE])
def test_oversized_frame_is_refused_at_its_header(kind: int) -> None:
    header = (MAX_FRAME + 1).to_bytes(3, "big") + bytes([kind, 0, 0, 0, 0, 1])
    assert outcome(PREFACE, header[:8]) is None
    assert outcome(PREFACE, header[:8], header[8:]) is ErrorCodes.FRAME_SIZE_ERROR
    assert outcome(PREFACE, frame(kind, bytes(MAX_FRAME))) is None


def test_header_block_is_limited_over_all_its_frames() -> None:
    half = bytes(MAX_FRAME)
    block = [PREFACE, frame(HEADERS, half), frame(CONTINUATION, half)]
    assert outcome(*block, frame(CONTINUATION, b"", END_HEADERS)) is None
    assert outcome(*block, frame(CONTINUATION, b"x")) is ErrorCodes.ENHANCE_YOUR_CALM
    whole = frame(HEADERS, half, END_HEADERS)
    assert outcome(PREFACE, *[whole] * 5) is None


@pytest.mark.parametrize("kind", [DATA, PRIORITY, RST_STREAM, SETTINGS, PING, 0xFE])
def test_control_frames_are_limited(kind: int) -> None:
    assert outcome(PREFACE, frame(kind) * 1000) is None
    assert outcome(PREFACE, frame(kind) * 1001) is ErrorCodes.ENHANCE_YOUR_CALM


@pytest.mark.parametrize(
    "cheap", [frame(DATA, b"x"), frame(DATA, b"", END_STREAM), frame(WINDOW_UPDATE, bytes(4))]
)
def test_frames_of_requests_and_windows_are_not_limited(cheap: bytes) -> None:
    assert outcome(PREFACE, cheap * 5000) is None


def test_rate_recovers_with_time() -> None:
    rate = ControlRate(0.0)
    assert sum(rate.allows(0.0) for _ in range(2000)) == 1000
    steady = ControlRate(0.0)
    assert all(steady.allows(second + n / 33) for second in range(100) for n in range(33))
