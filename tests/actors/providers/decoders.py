"""Feeding a decoder: everything that it says of some bytes, and how it ends."""

from collections.abc import Callable, Iterable

from actors.chunks import Chunk
from actors.providers.base import UpstreamFailure
from actors.providers.formats import Decoder
from tests.actors.providers.memory import splits

Drained = tuple[list[Chunk], UpstreamFailure | None]


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


def cut_everywhere(make: Callable[[], Decoder], data: bytes) -> Drained:
    """The same for `data` whole, byte by byte and cut at every position; all have to agree."""
    chunks, failure = drained(make(), [data])
    for pieces in splits(data):
        again, other = drained(make(), pieces)
        assert again == chunks, pieces
        assert _told(other) == _told(failure), pieces
    return chunks, failure


def _told(failure: UpstreamFailure | None) -> tuple[object, ...]:
    return () if failure is None else (failure.kind, failure.message, failure.code)
