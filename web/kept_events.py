"""The kept journal of a turn, read without keeping everybody waiting."""

from collections.abc import Sequence
from functools import partial

import msgspec
import trio

from actors.checkpointer import decode_events
from actors.events import AnyEvent
from actors.heavy import off_loop
from store.records import Segment

AT_ONCE = 131_072
"""Bytes of events that are decoded in 2 ms."""

_cut = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_decode = msgspec.msgpack.Decoder(AnyEvent).decode


async def kept_events(segments: Sequence[Segment], threads: trio.CapacityLimiter) -> list[AnyEvent]:
    """All events of these segments; a large one is decoded in one of `threads`.

    Raises `msgspec.MsgspecError` where this version cannot read them.
    """
    events: list[AnyEvent] = []
    for segment in segments:
        large = len(segment.blob) > AT_ONCE
        decode = partial(_one_by_one if large else decode_events, segment.blob)
        events += await off_loop(large, threads, decode)
        await trio.lowlevel.checkpoint()
    return events


def _one_by_one(blob: bytes) -> list[AnyEvent]:
    # A decoder keeps the interpreter to itself.
    return [_decode(event) for event in _cut(blob)]
