"""Tests of the event decoder against a reader that follows the specification line by line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.providers.sse import EventTooLarge, SseDecoder, SseEvent
from tests.support.scripted_connections import pieces_of, splits

WORDS = [
    b"data: ", b"data:", b"data", b"event: ", b"event", b"id: 1", b"retry: 5", b":", b": ping",
    b"\n", b"\n", b"\n\n", b"\r\n", b"\r", b"\r\n\r\n", b" ", b"x", b'{"a":1}', "ü€".encode(),
    b"\xef\xbb\xbf", b"[DONE]",
]  # fmt: skip
STREAMS = st.lists(st.sampled_from(WORDS), max_size=30).map(b"".join)
CUTS = st.lists(st.integers(min_value=0, max_value=500), max_size=10)


def parse_by_specification(stream: bytes) -> list[SseEvent]:
    """Return the events of the stream, without an unfinished last one."""
    stream = stream.removeprefix(b"\xef\xbb\xbf")
    lines = stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")[:-1]
    events: list[SseEvent] = []
    name, data = b"", None
    for line in lines:
        if not line:
            if data is not None:
                events.append(SseEvent(data, name))
            name, data = b"", None
            continue
        field, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        if field == b"data":
            data = value if data is None else data + b"\n" + value
        elif field == b"event":
            name = value
    return events


def fed(pieces: list[bytes]) -> list[SseEvent]:
    decoder = SseDecoder()
    return [event for piece in pieces for event in decoder.feed(piece)]


@given(STREAMS, CUTS)
def test_events_match_the_specification_at_any_cut(stream: bytes, cuts: list[int]) -> None:
    assert fed(pieces_of(stream, cuts)) == parse_by_specification(stream)


def test_a_typical_stream_cut_everywhere() -> None:
    stream = (
        b'\xef\xbb\xbf: hello\r\n\r\ndata: {"a": 1}\n\ndata:x\ndata: y\nid: 7\n\n'
        b"event: error\rdata: z\r\rdata: \xc3\xbc\r\n\r\ndata: [DONE]\n\n"
    )
    expected = [
        SseEvent(b'{"a": 1}'),
        SseEvent(b"x\ny"),
        SseEvent(b"z", b"error"),
        SseEvent("ü".encode()),
        SseEvent(b"[DONE]"),
    ]
    for pieces in splits(stream):
        assert fed(pieces) == expected


def test_event_is_returned_at_the_start_of_its_empty_line() -> None:
    decoder = SseDecoder()
    assert decoder.feed(b"data: a\r\n\r") == [SseEvent(b"a")]
    assert decoder.feed(b"\ndata: b\n\n") == [SseEvent(b"b")]


def test_a_large_event_in_small_pieces() -> None:
    text = b"y" * 2**20
    stream = b"data: " + text + b"\n\n"
    pieces = [stream[at : at + 1000] for at in range(0, len(stream), 1000)]
    assert fed(pieces) == [SseEvent(text)]


def test_oversized_event_is_refused_at_any_cut() -> None:
    stream = b"data: 1\n\ndata: " + b"z" * 100 + b"\n\n"
    for pieces in splits(stream):
        decoder = SseDecoder(max_event=64)
        seen: list[SseEvent] = []
        with pytest.raises(EventTooLarge):  # noqa: PT012
            for piece in [*pieces, b""]:
                seen += decoder.feed(piece)
        assert seen in ([], [SseEvent(b"1")])
    assert SseDecoder(max_event=200).feed(stream)[1].data == b"z" * 100


def test_missing_final_empty_line_is_accepted() -> None:
    decoder = SseDecoder()
    assert decoder.feed(b"data: a\n\ndata: [DONE]\n") == [SseEvent(b"a")]
    assert decoder.end() == [SseEvent(b"[DONE]")]
    assert decoder.end() == []
