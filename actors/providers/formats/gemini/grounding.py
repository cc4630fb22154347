"""Reads the sources of an answer that was grounded in a search. Pure.

Shapes come from the Gemini API reference, "GroundingMetadata": a support is a segment of the text,
in bytes of UTF-8, with the numbers of its sources.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from msgspec import Raw, Struct

from actors.providers.formats.citations import url_citation
from actors.providers.formats.lenient_fields import read_or_none
from actors.turn.chunks import AnnotationChunk


class _Source(Struct, gc=False):
    uri: str = ""
    title: str = ""


class _SourceChunk(Struct, gc=False, rename="camel"):
    web: _Source | None = None
    retrieved_context: _Source | None = None
    maps: _Source | None = None


class _Segment(Struct, frozen=True, gc=False, rename="camel"):
    start_index: int = 0
    end_index: int = 0


class _Support(Struct, gc=False, rename="camel"):
    segment: _Segment = _Segment()
    grounding_chunk_indices: list[int] = []


class _Grounding(Struct, gc=False, rename="camel"):
    grounding_chunks: list[_SourceChunk] = []
    grounding_supports: list[_Support] = []


_read = msgspec.json.Decoder(_Grounding).decode


def citations(metadata: Raw, texts: Sequence[str]) -> Iterator[AnnotationChunk]:
    """Yield a citation for each source of each segment; for sources alone, of the whole text."""
    grounding = read_or_none(_read, metadata)
    if grounding is None:
        return
    encoded = "".join(texts).encode("utf-8", "replace")
    sources = [one.web or one.retrieved_context or one.maps for one in grounding.grounding_chunks]
    whole = _Support(_Segment(0, len(encoded)), list(range(len(sources))))
    supports = grounding.grounding_supports or [whole]
    sizes = (size for one in supports for size in (one.segment.start_index, one.segment.end_index))
    characters = _characters(encoded, sizes)
    for support in supports:
        place = {
            "start_index": characters[support.segment.start_index],
            "end_index": characters[support.segment.end_index],
        }
        for index in support.grounding_chunk_indices:
            source = sources[index] if 0 <= index < len(sources) else None
            if source is not None:
                yield url_citation({"url": source.uri, "title": source.title, **place})


def _characters(encoded: bytes, sizes: Iterable[int]) -> dict[int, int]:
    """Return the numbers of characters in the first bytes of a text, by the number of bytes."""
    found: dict[int, int] = {}
    count = before = 0
    for size in sorted(set(sizes)):
        count += len(encoded[max(0, before) : max(0, size)].decode("utf-8", "ignore"))
        found[size], before = count, size
    return found
