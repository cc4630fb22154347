"""Tests of the load generator's answer check: lost, altered or swapped tokens are found."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.turn.events import AnyEvent, Text
from actors.turn.model_call import JSON
from bench.answer import Answer
from bench.frames import Frames, http_chunk, role, tail
from bench.httpwire import BadResponse, ResponseReader
from bench.spec import Spec, parse, text, token
from bench.surfaces import Name
from tests.support.dialect_journals import DIALECTS
from tests.support.sample_events import STARTED, USAGE, ended
from web.dialects.frames import START

SPEC = Spec(chunks=30, seed=3)
HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx-turn-id: t1\r\n\r\n"


def frames(spec: Spec = SPEC) -> list[bytes]:
    """Return the answer's HTTP chunks: the role, one chunk per token, and the tail."""
    tokens = Frames()
    return [role(), *(tokens.tokens(spec.seed, n, n + 1) for n in range(spec.chunks)), tail(30)]


def read(wire: bytes, *pieces: int) -> Answer:
    """Return the answer after feeding its bytes, split at the given positions."""
    reader, answer = ResponseReader(), Answer(SPEC)
    cuts = [0, *sorted(pieces), len(wire)]
    for start, stop in pairwise(cuts):
        answer.feed(reader.feed(wire[start:stop]))
    assert reader.done
    return answer


WIRE = HEAD + b"".join(frames())


@given(st.lists(st.integers(0, len(WIRE) - 1), max_size=40))
def test_complete_answer_passes_for_any_split(cuts: list[int]) -> None:
    answer = read(WIRE, *cuts)
    assert answer.problem() is None
    assert answer.chunks == SPEC.chunks
    assert answer.frames == SPEC.chunks + 3


def test_lost_token_is_found_and_named() -> None:
    sent = frames()
    del sent[8]
    problem = read(HEAD + b"".join(sent)).problem()
    assert problem is not None
    assert "29 of 30 tokens" in problem
    assert "3w8" in problem


def test_swapped_tokens_are_found() -> None:
    sent = frames()
    sent[4], sent[5] = sent[5], sent[4]
    assert read(HEAD + b"".join(sent)).problem() is not None


def test_altered_token_is_found() -> None:
    problem = read(WIRE.replace(b"3w17 ", b"3w71 ")).problem()
    assert problem is not None


def test_tokens_of_another_stream_are_found() -> None:
    sent = frames()
    sent[10] = frames(Spec(chunks=30, seed=4))[10]
    assert read(HEAD + b"".join(sent)).problem() is not None


@pytest.mark.parametrize(
    ("removed", "problem"),
    [
        (b'"finish_reason":"stop"', "no finish reason"),
        (b"data: [DONE]", "no 'data: [DONE]'"),
        (b'"completion_tokens"', "no usage"),
    ],
)
def test_incomplete_end_is_found(removed: bytes, problem: str) -> None:
    damaged = WIRE.replace(removed, b"x" * len(removed))
    assert damaged != WIRE
    assert read(damaged).problem() == problem


def test_merged_tokens_pass_but_are_counted() -> None:
    merged = b'data: {"choices":[{"delta":{"content":"3w0 3w1 "}}]}\n\n'
    answer = read(HEAD + b"".join([role(), http_chunk(merged), *frames()[3:]]))
    assert answer.problem() is None
    assert (answer.chunks, answer.frames) == (SPEC.chunks, SPEC.chunks + 2)


def test_prefix_check_accepts_prefix_and_rejects_other_text() -> None:
    answer = Answer(SPEC)
    answer.feed(ResponseReader().feed(HEAD + b"".join(frames()[:12])))
    assert answer.chunks == 11
    assert answer.prefix_problem() is None
    answer.feed(b'data: {"choices":[{"delta":{"content":"more "}}]}\n\n')
    assert answer.prefix_problem() is not None


def test_chunk_longer_than_its_length_is_rejected() -> None:
    with pytest.raises(BadResponse, match="longer"):
        ResponseReader().feed(HEAD + b"3\r\nabcdef\r\n")


def test_bytes_after_the_end_are_rejected() -> None:
    with pytest.raises(BadResponse, match="after the end"):
        ResponseReader().feed(WIRE + b"HTTP/1.1 200 OK\r\n")


@given(
    st.builds(Spec, chunks=st.integers(1, 9999), delay=st.integers(0, 99), seed=st.integers(0, 7))
)
def test_spec_round_trips_through_model_name(spec: Spec) -> None:
    assert parse(f'{{"model":"bench/{spec.model}","stream":true}}'.encode()) == spec


SURFACES_OF: dict[str, Name] = {
    "openai-chat": "chat",
    "openai-responses": "responses",
    "anthropic-messages": "messages",
}


def render(dialect: str, pieces: list[AnyEvent]) -> bytes:
    """Render a turn with these events as a stream of the dialect."""
    options: dict[str, JSON] = {"include_usage": True} if dialect == "openai-chat" else {}
    stream = DIALECTS[dialect].stream(options, START)
    return stream.render([STARTED, *pieces, ended(usage=USAGE)])


@pytest.mark.parametrize("dialect", SURFACES_OF)
def test_stream_of_every_surface_is_read(dialect: str) -> None:
    pieces: list[AnyEvent] = [Text(token(SPEC.seed, n)) for n in range(SPEC.chunks)]
    answer = Answer(SPEC, surface=SURFACES_OF[dialect])
    answer.feed(render(dialect, pieces))
    assert answer.problem() is None
    assert answer.chunks == SPEC.chunks
    incomplete = Answer(SPEC, surface=SURFACES_OF[dialect])
    incomplete.feed(render(dialect, pieces[:8] + pieces[9:]))
    assert "29 of 30 tokens" in str(incomplete.problem())


@pytest.mark.parametrize("dialect", SURFACES_OF)
def test_non_streaming_answer_of_every_surface_is_read(dialect: str) -> None:
    journal: list[AnyEvent] = [
        STARTED,
        Text(text(SPEC.seed, SPEC.chunks).decode()),
        ended(usage=USAGE),
    ]
    answer = Answer(SPEC, stream=False, surface=SURFACES_OF[dialect])
    answer.feed(msgspec.json.encode(DIALECTS[dialect].whole(journal, {}, None)))
    answer.end()
    assert answer.problem() is None
