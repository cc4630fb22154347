"""Joins the pieces of tool calls, for wire formats that send calls whole."""

import msgspec
from msgspec import Raw, Struct

from actors.turn.chunks import Chunk, ToolCallChunk


class WholeCall(Struct, frozen=True):
    """A complete tool call."""

    id: str
    name: str
    arguments: Raw


class CallCollector:
    """A collector of the pieces of tool calls."""

    def __init__(self) -> None:
        self._head: ToolCallChunk | None = None
        self._arguments: list[str] = []

    def completed_by(self, chunk: Chunk) -> WholeCall | None:
        """Return the call that `chunk` shows to be complete, or None.

        A call whose arguments were cut off is dropped.
        """
        if isinstance(chunk, ToolCallChunk) and chunk.id is None:
            self._arguments.append(chunk.arguments)
            return None
        whole = self._whole()
        self._head = chunk if isinstance(chunk, ToolCallChunk) else None
        self._arguments = [] if self._head is None else [self._head.arguments]
        return whole

    def _whole(self) -> WholeCall | None:
        if self._head is None:
            return None
        arguments = "".join(self._arguments).encode()
        try:
            msgspec.json.decode(arguments)
        except msgspec.DecodeError:
            return None
        return WholeCall(self._head.id or "", self._head.name or "", Raw(arguments))
