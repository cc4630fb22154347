"""A provider that answers every call at once and with nothing, without sending it.

For requests that a client makes only to have their input kept for the next one.
"""

from collections.abc import Callable

from actors.ports import ignore
from actors.turn.chunks import Chunk, FinishChunk, UsageChunk
from actors.turn.model_call import ModelCall
from actors.turn.outcome import Reason, Usage

_NO_TOKENS = Usage(input_tokens=0, output_tokens=0)


class SilentProvider:
    """See `actors.ports.Provider`."""

    name = "none"

    async def unsupported(self, call: ModelCall) -> tuple[str, ...]:
        """Return no parameters, since none is used."""
        return ()

    async def open(
        self, call: ModelCall, *, connect_s: float, alive: Callable[[], None] = ignore
    ) -> "SilentAnswer":
        """Return an answer without content, which costs nothing."""
        return SilentAnswer()


class SilentAnswer:
    """See `actors.ports.AnswerStream`."""

    ignored: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._chunks: list[Chunk] = [UsageChunk(_NO_TOKENS), FinishChunk(Reason.STOP)]

    async def receive(self) -> list[Chunk]:
        """Return the finish, then `[]`."""
        chunks, self._chunks = self._chunks, []
        return chunks

    def release(self) -> None:
        """Do nothing, like `close`: there is no connection."""

    close = release
