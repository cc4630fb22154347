"""Collects what a content block brings apart from text and client tools, until the block ends.

That is the signature of thinking, citations of text, and blocks of types that only this API has,
such as `server_tool_use`.
"""

from collections.abc import Iterator

import msgspec
from msgspec import Raw

from actors.providers.formats.conversion import object_of
from actors.providers.formats.lenient_fields import NULL, one_line, read_or_none
from actors.turn.chunks import AnnotationChunk, Chunk, NativeItemChunk, ReasoningStateChunk
from actors.turn.messages import JSON

API = "anthropic"

_URL_CITATIONS = {"web_search_result_location": "url", "search_result_location": "source"}
"""Field with the source in citations of web pages and search results."""


_read_list = msgspec.json.Decoder(list[Raw]).decode


class BlockEnd:
    """The collected rest of the open block. Blocks don't overlap."""

    __slots__ = ("_citations", "_cited_from", "_input", "_native", "_signature", "text_size")

    def __init__(self) -> None:
        self.text_size = 0
        """Characters of text since the last block that isn't text; citations are relative to it."""
        self._cited_from = 0
        self._citations: list[Raw] = []
        self._signature = ""
        self._native: dict[str, JSON] | None = None
        self._input: list[str] = []

    def begin_text(self, citations: Raw) -> None:
        """Begin a text block; `citations` is its list, or null."""
        self._cited_from = self.text_size
        self._citations = read_or_none(_read_list, citations) or []

    def begin_other(self, signature: str | None = None) -> None:
        """Begin a block that isn't text."""
        self.text_size = 0
        self._signature = signature or ""

    def begin_native(self, block: dict[str, JSON]) -> None:
        """Begin a block of a type that only this API has."""
        self._native = block

    def add(self, signature: str | None, citation: Raw, content: str | None) -> None:
        """Add the fields of a delta that the decoder doesn't emit at once."""
        self._signature += signature or ""
        if citation != NULL:
            self._citations.append(citation)
        if content is not None and self._native is not None:
            self._native["content"] = f"{self._native.get('content') or ''}{content}"

    def add_input(self, json: str) -> None:
        """Add a piece of the input of a tool that runs at the provider."""
        self._input.append(json)

    def end(self) -> list[Chunk]:
        """Return the chunks for what was collected, and forget it."""
        chunks: list[Chunk] = []
        if self._signature:
            chunks.append(state_chunk(signature=self._signature))
        for citation in self._citations:
            chunks += _annotation(citation, self._cited_from, self.text_size)
        if self._native is not None:
            if (input := object_of("".join(self._input))) is not None:
                self._native["input"] = input
            chunks.append(NativeItemChunk(API, _encoded(self._native)))
        self._signature, self._native = "", None
        self._citations, self._input = [], []
        return chunks


def state_chunk(**state: str) -> ReasoningStateChunk:
    """Return the chunk for the end of thinking with this state."""
    return ReasoningStateChunk(API, _encoded(state))


def _annotation(citation: Raw, start: int, end: int) -> Iterator[AnnotationChunk]:
    """Yield a citation in the form of the Responses API, with the original for this API."""
    given = object_of(one_line(citation))
    if given is None:
        return
    source = _URL_CITATIONS.get(str(given.get("type")))
    if source is not None:
        shown = {
            "type": "url_citation",
            "url": given.get(source) or "",
            "title": given.get("title") or "",
            "start_index": start,
            "end_index": end,
        }
    else:
        shown = {
            "type": "file_citation",
            "file_id": given.get("file_id") or "",
            "filename": given.get("document_title") or "",
            "index": end,
        }
    yield AnnotationChunk(_encoded({**shown, "native": {"api": API, "citation": given}}))


def _encoded(value: object) -> str:
    return msgspec.json.encode(value).decode()
