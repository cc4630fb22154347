"""Restores names of tools in an answer, and gives its calls ids that its history doesn't have."""

from collections.abc import Mapping

from msgspec.structs import replace

from actors.providers.formats.base import Decoder
from actors.turn.chunks import Chunk, ToolCallChunk


def client_calls(decoder: Decoder, names: Mapping[str, str], call_ids: frozenset[str]) -> Decoder:
    """Return a decoder whose tool calls have the client's names and ids not in `call_ids`.

    `names` are the client's names by those in the request.
    """
    return _ClientCalls(decoder, names, call_ids) if names or call_ids else decoder


class _ClientCalls:
    """Decoder that changes the tool calls of another one."""

    def __init__(
        self, decoder: Decoder, names: Mapping[str, str], call_ids: frozenset[str]
    ) -> None:
        self._decoder = decoder
        self._names = names
        self._taken = set(call_ids)
        self._ids: dict[tuple[int, str], str] = {}
        """Ids by the call's index and the provider's id."""

    @property
    def finished(self) -> bool:
        """See `Decoder.finished`."""
        return self._decoder.finished

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
                id = self._id(chunk.index, chunk.id) if chunk.id else chunk.id
                chunks[at] = replace(chunk, id=id, name=name)
        return chunks

    def _id(self, index: int, given: str) -> str:
        """Return the id of a call: the given one, or else the first free one like it."""
        id = self._ids.get((index, given))
        if id is None:
            id, number = given, 1
            while id in self._taken:
                number += 1
                id = f"{given}_{number}"
            self._taken.add(id)
            self._ids[index, given] = id
        return id
