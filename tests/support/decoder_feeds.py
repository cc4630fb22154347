"""Helpers that feed a decoder and collect its chunks and its failure."""

from collections.abc import Callable, Iterable
from typing import Any

from hypothesis import strategies as st

from actors.providers.formats.base import Decoder
from actors.turn.chunks import Chunk, FinishChunk
from actors.turn.model_call import FailureKind, UpstreamFailure
from tests.support.scripted_connections import pieces_of, splits

Drained = tuple[list[Chunk], UpstreamFailure | None]

CUTS = st.lists(st.integers(min_value=0, max_value=5000), max_size=10)
"""Strategy for the positions at which `pieces_of` cuts a stream."""


def json_with(*names: str) -> st.SearchStrategy[Any]:
    """Return a strategy for JSON values whose objects have fields with these names."""
    return st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(names), inner, max_size=4)
        ),
        max_leaves=12,
    )


def drained(decoder: Decoder, pieces: Iterable[bytes]) -> Drained:
    """Return the chunks of the pieces and the failure that ended them, if any."""
    chunks: list[Chunk] = []
    try:
        for piece in pieces:
            if decoder.over:
                break
            chunks += decoder.feed(piece)
        while rest := decoder.end():
            chunks += rest
    except UpstreamFailure as failure:
        return chunks, failure
    return chunks, None


def failed(decoder: Decoder, pieces: Iterable[bytes]) -> tuple[list[Chunk], UpstreamFailure]:
    """Return the chunks of the pieces and the failure that must follow them."""
    chunks, failure = drained(decoder, pieces)
    assert failure is not None, chunks
    return chunks, failure


def decode_document(decoder: Decoder, document: bytes) -> tuple[list[Chunk], FailureKind | None]:
    """Return the chunks of a document fed in small pieces, and the kind of its failure, if any."""
    pieces = (document[at : at + 7] for at in range(0, len(document), 7))
    chunks, failure = drained(decoder, pieces)
    return chunks, None if failure is None else failure.kind


def cut_everywhere(make: Callable[[], Decoder], data: bytes) -> Drained:
    """Return the chunks and the failure of `data`, after checking that no cut changes them."""
    chunks, failure = drained(make(), [data])
    for pieces in splits(data):
        again, other = drained(make(), pieces)
        assert again == chunks, pieces
        assert _summary(other) == _summary(failure), pieces
    return chunks, failure


def check_any(make: Callable[[], Decoder], data: bytes, cuts: list[int]) -> None:
    """Check that any data ends in a finish or a failure, and that cuts don't change the result."""
    chunks, failure = drained(make(), [data])
    again, other = drained(make(), pieces_of(data, cuts))
    assert again == chunks, cuts
    assert (failure and failure.kind) == (other and other.kind), cuts
    assert failure or any(isinstance(chunk, FinishChunk) for chunk in chunks), data


def _summary(failure: UpstreamFailure | None) -> tuple[object, ...]:
    return () if failure is None else (failure.kind, failure.message, failure.code)
