"""Restores names of tools in an answer, and drops ids of calls that its history has already."""

from collections.abc import Mapping

from msgspec.structs import replace

from actors.providers.formats.base import Decoder
from actors.turn.chunks import Chunk, ToolCallChunk


def client_calls(decoder: Decoder, names: Mapping[str, str], call_ids: frozenset[str]) -> Decoder:
    """Return a decoder whose tool calls have the client's names, and no ids in `call_ids`.

    `names` are the client's names by those in the request. A call without an id gets one of ours
    (`actors.accumulator`).
    """
    return _ClientCalls(decoder, names, call_ids) if names or call_ids else decoder


class _ClientCalls:
    """Decoder that changes the tool calls of another one."""

    def __init__(
        self, decoder: Decoder, names: Mapping[str, str], call_ids: frozenset[str]
    ) -> None:
        self._decoder = decoder
        self._names = names
        self._call_ids = call_ids

    @property
    def over(self) -> bool:
        """See `Decoder.over`."""
        return self._decoder.over

    @property
    def saw_end_marker(self) -> bool:
        """See `Decoder.saw_end_marker`."""
        return self._decoder.saw_end_marker

    def feed(self, data: bytes) -> list[Chunk]:
        """See `Decoder.feed`."""
        return self._changed(self._decoder.feed(data))

    def end(self) -> list[Chunk]:
        """See `Decoder.end`."""
        return self._changed(self._decoder.end())

    def _changed(self, chunks: list[Chunk]) -> list[Chunk]:
        for at, chunk in enumerate(chunks):
            if isinstance(chunk, ToolCallChunk) and (chunk.name or chunk.id):
                name = self._names.get(chunk.name, chunk.name) if chunk.name else chunk.name
                id = None if chunk.id in self._call_ids else chunk.id
                chunks[at] = replace(chunk, id=id, name=name)
        return chunks
