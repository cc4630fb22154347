"""Collects the fields that servers add to Chat for the state of reasoning, and citations.

`reasoning_details` are OpenRouter's, `thinking_blocks` LiteLLM's, `extra_content` Google's and
`reasoning_opaque` GitHub Copilot's. The first two come in pieces, like the text of the reasoning,
and are wanted back whole.
"""

from collections.abc import Iterator

import msgspec

from actors.providers.formats.citations import citation
from actors.providers.formats.openai_chat.frames import Call, Delta, Objects
from actors.turn.chat_messages import CHAT_API, DETAILS, OF_CALL, SIGNED
from actors.turn.chunks import AnnotationChunk, Chunk, ReasoningStateChunk
from actors.turn.messages import JSON, Extras

_GROWING = ("text", "summary", "thinking")
"""Fields of the entries that come in pieces; the others come once."""
_PLACE = ("type", "index", "id")
"""Fields in which the pieces of one entry are equal, if they have them."""


class OpaqueFields:
    """The state of one answer's reasoning until the text or call that it led to."""

    __slots__ = ("_cited", "_lists", "_others", "_pending", "sources")

    def __init__(self) -> None:
        self._pending = False
        self._lists: dict[str, Objects] = {}
        self._others: Extras = {}
        self._cited: set[AnnotationChunk] = set()
        self.sources: list[JSON] = []
        """Citations of the whole answer, which are emitted at its end."""

    def add(self, delta: Delta) -> None:
        """Collect the fields of a delta."""
        for name, entries in ((DETAILS, delta.reasoning_details), (SIGNED, delta.thinking_blocks)):
            for entry in entries or ():
                self._pending = True
                _grow(self._lists.setdefault(name, []), entry)
        for name in ("extra_content", "reasoning_opaque"):
            if value := getattr(delta, name):
                self._pending = True
                self._others[name] = value

    def take(self) -> Iterator[Chunk]:
        """Yield the chunk for what was collected, and forget it."""
        if self._pending:
            yield _state_chunk({**self._lists, **self._others})
        self._lists, self._others, self._pending = {}, {}, False

    def end(self) -> Iterator[Chunk]:
        """Yield the chunks for what is left when the answer ends."""
        yield from self.citations(self.sources)
        yield from self.take()

    def citations(self, given: list[JSON]) -> Iterator[AnnotationChunk]:
        """Yield the chunks of citations that have not come before."""
        for one in given:
            chunk = citation(one)
            if chunk is not None and chunk not in self._cited:
                self._cited.add(chunk)
                yield chunk


def call_state(call: Call) -> Iterator[ReasoningStateChunk]:
    """Yield the chunk for the state that came with a call, for clients without a field for it."""
    if state := call.state:
        yield _state_chunk({OF_CALL: state})


def call_extras(call: Call) -> str | None:
    """Return the extra fields of a call."""
    state = call.state
    return msgspec.json.encode(state).decode() if state else None


def _grow(entries: Objects, piece: Extras) -> None:
    """Add a piece to the last entry if it belongs to it, or else as a new one."""
    last = entries[-1] if entries else None
    signed = last is not None and last.get("signature") and any(map(piece.get, _GROWING))
    if last is None or signed or any(last.get(name) != piece.get(name) for name in _PLACE):
        entries.append({**piece})
        return
    for name, value in piece.items():
        before = last.get(name)
        if name in _GROWING and isinstance(before, str) and isinstance(value, str):
            last[name] = before + value
        elif value is not None:
            last[name] = value


def _state_chunk(state: Extras) -> ReasoningStateChunk:
    return ReasoningStateChunk(CHAT_API, msgspec.json.encode(state).decode())
