"""Offload large work to threads so that it does not block the event loop.

`Cost` is the one rule for what large work is. Work on JSON is also cut into pieces
(`actors.runtime.json_pieces`), because a single call into a C library keeps the GIL.
"""

import threading
import time
from collections.abc import Callable, Collection
from enum import IntEnum
from typing import TypeVar

import msgspec
import trio

_PAUSE_S = 0.00005
THREADS = 2
"""Number of threads; they share the GIL with the event loop, so more would not help."""
BUDGET = 1_048_576
"""Units of work that take at most about 5 ms on the event loop, as measured."""

MAX_VALUES = 400_000
"""Maximum number of JSON values of a request, of which each member of an object counts four times.

They bound the memory of a decoded body, and the time for which one call that splits a list or an
object keeps the GIL: about 30 ms for a list of 400,000 values or an object of 100,000 members, but
180 ms for one of 390,000. Embeddings of 300,000 tokens, OpenAI's maximum, are allowed.
"""


class Cost(IntEnum):
    """Units of work for each character, byte or object of a kind."""

    ANSWER_TEXT = 1
    """A character of an answer that is put together from its events."""
    TEXT = 4
    """A character of text that is encoded, analysed or rendered."""
    EVENT_BYTE = 8
    """A byte of stored events that are decoded."""
    CONVERSATION = 8
    """A character of stored items that become messages."""
    LOGPROBS = 16
    """A character of logprobs in an answer."""
    ITEM_TEXT = 16
    """A character of stored items that are decoded and rendered again."""
    VECTOR = 16
    """A byte of embeddings, or a character of their texts."""
    BODY = 32
    """A byte of a request body that is decoded and validated."""
    VALUE = 512
    """A JSON value, such as a message, a part or a tool call."""
    EVENT = 1024
    """An event of an answer that is put together, or an item of a request."""


T = TypeVar("T")


def is_much(amount: int, cost: Cost) -> bool:
    """Return True if this much work may take over 5 ms."""
    return amount * cost > BUDGET


def is_large(*values: object) -> bool:
    """Return True if work on the JSON values may take over 5 ms; the check takes under 1 ms."""
    # Iterative: clients choose the nesting depth. It stops at the limits, so it is always fast.
    pending: list[Collection[object]] = [values]
    values_left, text_left = BUDGET // Cost.VALUE + len(values), BUDGET // Cost.TEXT
    while pending:
        children = pending.pop()
        values_left -= len(children)
        if values_left < 0 or text_left < 0:
            return True
        for value in children:
            if type(value) is str:
                text_left -= len(value)
            elif not value:  # most fields of a message are empty
                continue
            elif type(value) is dict:
                pending.append(value.values())
            elif type(value) is list or type(value) is tuple:
                pending.append(value)
            elif isinstance(value, msgspec.Struct):
                pending.append(msgspec.structs.astuple(value))
    return text_left < 0


def give_way() -> None:
    """Let the event loop have the GIL, if called in another thread.

    For loops of short searches: each releases the GIL and takes it back at once, before the event
    loop has woken up.
    """
    if threading.current_thread() is not threading.main_thread():
        time.sleep(_PAUSE_S)


async def off_loop(large: bool, threads: trio.CapacityLimiter | None, work: Callable[[], T]) -> T:
    """Return the result of `work`, run directly or, if `large`, in one of `threads`.

    A cancelled caller returns at once while the thread continues, so `work` must be free of side
    effects.
    """
    if not large:
        return work()
    return await trio.to_thread.run_sync(work, limiter=threads, abandon_on_cancel=True)
