"""Offload work on large values to threads so that it does not block the event loop.

A single call into a C library keeps the GIL and blocks the event loop even from a thread, so
large documents are encoded in pieces.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeVar

import msgspec
import trio

THREADS = 2
"""Number of threads; they share the GIL with the event loop, so more would not help."""
LARGE_VALUES = 2048
"""JSON values (messages, parts, tool calls …) that can be processed within 5 ms."""
LARGE_TEXT = 262_144
"""Characters of text that can be processed within 5 ms."""

_DEPTH = 5
"""Nesting depth of a request down to message parts and tools."""

T = TypeVar("T")


def is_large(*values: object) -> bool:
    """Return True if work on the JSON values may take over 5 ms; the check takes under 1 ms."""
    # Iterative: clients choose the nesting depth. It stops at the limits, so it is always fast.
    pending: list[Collection[object]] = [values]
    values_left, text_left = LARGE_VALUES + len(values), LARGE_TEXT
    while pending:
        children = pending.pop()
        values_left -= len(children)
        if values_left < 0 or text_left < 0:
            return True
        for value in children:
            if type(value) is str:
                text_left -= len(value)
            elif type(value) is dict:
                pending.append(value.values())
            elif type(value) is list or type(value) is tuple:
                pending.append(value)
            elif isinstance(value, msgspec.Struct):
                pending.append(msgspec.structs.astuple(value))
    return text_left < 0


async def off_loop(large: bool, threads: trio.CapacityLimiter | None, work: Callable[[], T]) -> T:
    """Return the result of `work`, run directly or, if `large`, in one of `threads`.

    A cancelled caller returns at once while the thread continues, so `work` must be free of side
    effects.
    """
    if not large:
        return work()
    return await trio.to_thread.run_sync(work, limiter=threads, abandon_on_cancel=True)


def encoded(document: object) -> bytes:
    """Encode the document as JSON, piece by piece if it is large."""
    return msgspec.json.encode(_in_pieces(document, _DEPTH) if is_large(document) else document)


def encoded_list(objects: Iterable[Mapping[str, object]]) -> str:
    """Encode the objects as a JSON array, one at a time."""
    return f"[{','.join([msgspec.json.encode(one).decode() for one in objects])}]"


def _in_pieces(value: object, depth: int) -> object:
    """Return the value with the items of its lists encoded already."""
    if depth and isinstance(value, dict):
        return {name: _in_pieces(one, depth - 1) for name, one in value.items()}
    if depth and isinstance(value, list):
        return [msgspec.Raw(msgspec.json.encode(_in_pieces(one, depth - 1))) for one in value]
    return value
