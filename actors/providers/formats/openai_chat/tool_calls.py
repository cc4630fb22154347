"""Assigns pieces of a Chat Completions answer to tool calls. Pure.

By the API, a piece has the index of its call, and the first piece also the id and name. But some
servers send whole calls without an index or all with the same one, some repeat the id, though not
the name, with every piece, and some give all calls the same id.
"""

from msgspec import Struct

from actors.providers.formats.conversion import object_of
from actors.providers.formats.openai_chat.frames import Call


class _KnownCall(Struct, gc=False):
    number: int
    id: str | None
    named: bool
    whole: bool = False
    """True if the piece with the name had all arguments."""


class ToolCalls:
    """Tool calls of one answer, numbered in the order of their first pieces."""

    def __init__(self) -> None:
        self.count = 0
        self._latest: _KnownCall | None = None
        self._by_index: dict[int, _KnownCall] = {}
        """Latest call of each index."""
        self._by_id: dict[tuple[int | None, str], _KnownCall] = {}
        """Calls with an id, by index and id and by id alone (index None)."""

    def number(self, piece: Call) -> int:
        """Return the number of the call that the piece belongs to."""
        named = piece.is_named
        known = self._known(piece, named=named)
        if known is None or (named and known.named and (piece.index is None or known.whole)):
            known = _KnownCall(self.count, None, named)
            self.count += 1
        known.named = known.named or named
        known.whole = known.whole or (named and _is_object(piece))
        self._note(known, piece)
        return known.number

    def _known(self, piece: Call, *, named: bool) -> _KnownCall | None:
        if piece.id and (piece.index, piece.id) in self._by_id:
            return self._by_id[piece.index, piece.id]
        if piece.index is not None:
            known = self._by_index.get(piece.index)
            another = known is not None and known.id and piece.id and named
            return None if another else known
        if piece.id or (named and self._latest is not None and self._latest.named):
            return None
        return self._latest

    def _note(self, known: _KnownCall, piece: Call) -> None:
        self._latest = known
        if piece.index is not None:
            self._by_index[piece.index] = known
        if piece.id:
            known.id = known.id or piece.id
            self._by_id[piece.index, piece.id] = self._by_id[None, piece.id] = known


def _is_object(piece: Call) -> bool:
    text = (piece.function and piece.function.arguments) or ""
    return text.endswith("}") and object_of(text) is not None
