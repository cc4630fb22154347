"""Which tool call a piece of a Chat Completions answer belongs to. Pure.

A piece has the index of its call, and the first one its id and name. Some servers send whole calls
without an index, or all with the same one; some send ids anew with every piece, but no name.
"""

from msgspec import Struct

from actors.providers.openai_wire import Call


class _Known(Struct, gc=False):
    number: int
    id: str | None
    named: bool


class ToolCalls:
    """The calls of one answer, numbered in the order of their first pieces."""

    def __init__(self) -> None:
        self._made = 0
        self._latest: _Known | None = None
        self._at: dict[int, _Known] = {}
        """The latest call by the index that its pieces have, …"""
        self._of: dict[tuple[int | None, str], _Known] = {}
        """… and all that have an id by that as well."""

    def number(self, piece: Call) -> int:
        """The number of the call that the piece belongs to."""
        named = bool(piece.function and piece.function.name)
        known = self._known(piece, named=named)
        if known is None:
            known = _Known(self._made, None, named)
            self._made += 1
        known.named = known.named or named
        self._note(known, piece)
        return known.number

    def _known(self, piece: Call, *, named: bool) -> _Known | None:
        if piece.id and (piece.index, piece.id) in self._of:
            return self._of[piece.index, piece.id]
        if piece.index is not None:
            there = self._at.get(piece.index)
            another = there is not None and there.id and piece.id and named
            return None if another else there
        if piece.id or (named and self._latest is not None and self._latest.named):
            return None
        return self._latest

    def _note(self, known: _Known, piece: Call) -> None:
        self._latest = known
        if piece.index is not None:
            self._at[piece.index] = known
        if piece.id:
            known.id = known.id or piece.id
            self._of[piece.index, piece.id] = self._of[None, piece.id] = known
