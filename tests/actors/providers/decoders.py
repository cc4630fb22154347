"""Feeding a decoder: everything that it says of some bytes, and how it ends."""

from collections.abc import Callable, Iterable
from typing import Any

from hypothesis import strategies as st

from actors.chunks import Chunk, FinishChunk
from actors.providers.base import FailureKind, UpstreamFailure
from actors.providers.formats import Decoder
from tests.actors.providers.memory import pieces_of, splits

Drained = tuple[list[Chunk], UpstreamFailure | None]

CUTS = st.lists(st.integers(min_value=0, max_value=5000), max_size=10)
"""Where a stream is cut, for `pieces_of`."""


def json_with(*names: str) -> st.SearchStrategy[Any]:
    """Any JSON whose objects have fields of these names."""
    return st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(names), inner, max_size=4)
        ),
        max_leaves=12,
    )


def drained(decoder: Decoder, pieces: Iterable[bytes]) -> Drained:
    """The chunks of these pieces, and the failure behind them if there is one."""
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
    """The same for pieces behind which there has to be a failure."""
    chunks, failure = drained(decoder, pieces)
    assert failure is not None, chunks
    return chunks, failure


def whole_of(decoder: Decoder, document: bytes) -> tuple[list[Chunk], FailureKind | None]:
    """The chunks of a document that comes in small pieces, and the kind of its failure."""
    pieces = (document[at : at + 7] for at in range(0, len(document), 7))
    chunks, failure = drained(decoder, pieces)
    return chunks, None if failure is None else failure.kind


def cut_everywhere(make: Callable[[], Decoder], data: bytes) -> Drained:
    """The same for `data` whole, byte by byte and cut at every position; all have to agree."""
    chunks, failure = drained(make(), [data])
    for pieces in splits(data):
        again, other = drained(make(), pieces)
        assert again == chunks, pieces
        assert _told(other) == _told(failure), pieces
    return chunks, failure


def check_any(make: Callable[[], Decoder], data: bytes, cuts: list[int]) -> None:
    """Asserts that whatever is fed ends in a finish or a failure, and the same where it is cut."""
    chunks, failure = drained(make(), [data])
    again, other = drained(make(), pieces_of(data, cuts))
    assert again == chunks, cuts
    assert (failure and failure.kind) == (other and other.kind), cuts
    assert failure or any(isinstance(chunk, FinishChunk) for chunk in chunks), data


def _told(failure: UpstreamFailure | None) -> tuple[object, ...]:
    return () if failure is None else (failure.kind, failure.message, failure.code)
