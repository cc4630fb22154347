"""Work on calls so large that everybody would wait for it: it is done in threads.

Threads take turns with the event loop, but a single step of a C library is never interrupted. So
what is large is encoded a piece at a time.
"""

from collections.abc import Callable, Collection, Iterable
from typing import TypeVar

import msgspec
import trio

from actors.providers.base import JSON, ModelCall

THREADS = 2
"""As they take turns with the event loop, more are no help."""
LARGE_VALUES = 2048
"""Values, messages and parts and calls of tools among them, that are worked on in 5 ms."""
LARGE_TEXT = 262_144
"""Characters of texts that are."""

_DEPTH = 5
"""Of a request, down to the parts of a message and the tools."""

T = TypeVar("T")


def is_large(call: ModelCall) -> bool:
    """Whether work on the whole call may take more than 5 ms; finding out takes under 1 ms."""
    return _is_large(call.parameters, call.messages)


async def off_loop(large: bool, threads: trio.CapacityLimiter | None, work: Callable[[], T]) -> T:
    """What `work` returns: at once, or if it is large from one of `threads`.

    A cancelled caller leaves at once; the work goes on, so it must not matter to anybody.
    """
    if not large:
        return work()
    return await trio.to_thread.run_sync(work, limiter=threads, abandon_on_cancel=True)


def encoded(document: object) -> bytes:
    """The document as JSON; where it is large, a piece at a time."""
    return msgspec.json.encode(_in_pieces(document, _DEPTH) if _is_large(document) else document)


def encoded_list(objects: Iterable[dict[str, JSON]]) -> str:
    """The objects as a JSON array, encoded one at a time."""
    return f"[{','.join([msgspec.json.encode(one).decode() for one in objects])}]"


def is_large_value(value: JSON) -> bool:
    """The same for a part of a call."""
    return _is_large(value)


def _is_large(*values: object) -> bool:
    waiting: list[Collection[object]] = [values]
    values_left, text_left = LARGE_VALUES + len(values), LARGE_TEXT
    while waiting:
        within = waiting.pop()
        values_left -= len(within)
        if values_left < 0 or text_left < 0:
            return True
        for value in within:
            if type(value) is str:
                text_left -= len(value)
            elif type(value) is dict:
                waiting.append(value.values())
            elif type(value) is list:
                waiting.append(value)
    return text_left < 0


def _in_pieces(value: object, depth: int) -> object:
    """The same with the items of its lists encoded already."""
    if depth and isinstance(value, dict):
        return {name: _in_pieces(one, depth - 1) for name, one in value.items()}
    if depth and isinstance(value, list):
        return [msgspec.Raw(msgspec.json.encode(_in_pieces(one, depth - 1))) for one in value]
    return value
