"""Tool calls in one piece, for wires that know no others."""

import msgspec
from msgspec import Raw, Struct

from actors.chunks import Chunk, ToolCallChunk


class WholeCall(Struct, frozen=True):
    """A tool call with all of its arguments."""

    id: str
    name: str
    arguments: Raw


class Calls:
    """Puts the pieces of tool calls together."""

    def __init__(self) -> None:
        self._head: ToolCallChunk | None = None
        self._arguments: list[str] = []

    def before(self, chunk: Chunk) -> WholeCall | None:
        """The call that is known to be whole now that `chunk` has come.

        A call that is cut inside its arguments is none.
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
