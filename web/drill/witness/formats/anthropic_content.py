"""Builds the content blocks of a non-streamed message."""

from collections.abc import Sequence
from itertools import groupby

import msgspec

from actors.turn.chunks import (
    Chunk,
    FinishChunk,
    ReasoningChunk,
    RefusalChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
)

SIGNATURE = "c2ltdWxhdGVkIHRoaW5raW5n"
"""Signature of all simulated thinking, distinguishable from a missing or a real one."""


def message_content(chunks: Sequence[Chunk]) -> list[dict[str, object]]:
    """Return the content blocks of a whole message."""
    return [
        _block(kind, list(group))
        for kind, group in groupby(chunks, _kind)
        if kind not in (FinishChunk, UsageChunk)
    ]


def _kind(chunk: Chunk) -> object:
    """Return a grouping key that is equal for the chunks of one block."""
    if isinstance(chunk, ToolCallChunk):
        return chunk.index
    return TextChunk if isinstance(chunk, RefusalChunk) else type(chunk)


def _block(kind: object, chunks: list[Chunk]) -> dict[str, object]:
    pieces = [c.text for c in chunks if isinstance(c, TextChunk | RefusalChunk | ReasoningChunk)]
    if kind is TextChunk:
        return {"type": "text", "text": "".join(pieces)}
    if kind is ReasoningChunk:
        return {"type": "thinking", "thinking": "".join(pieces), "signature": SIGNATURE}
    calls = [chunk for chunk in chunks if isinstance(chunk, ToolCallChunk)]
    return {
        "type": "tool_use",
        "id": calls[0].id,
        "name": calls[0].name,
        "input": _input("".join(chunk.arguments for chunk in calls)),
    }


def _input(arguments: str) -> object:
    """Return the decoded arguments, or `{}` if the token limit cut them off."""
    try:
        return msgspec.json.decode(arguments)
    except msgspec.DecodeError:
        return {}
