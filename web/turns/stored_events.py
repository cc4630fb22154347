"""Decodes stored journals; large segments in a thread, to keep the event loop responsive."""

from collections.abc import Sequence
from functools import partial

import msgspec
import trio

from actors.journal.checkpointer import decode_events
from actors.runtime.offload import Cost, is_much, off_loop
from actors.turn.events import AnyEvent
from store.records.turn_records import Segment

_split = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_decode = msgspec.msgpack.Decoder(AnyEvent).decode


async def load_stored_events(
    segments: Sequence[Segment], threads: trio.CapacityLimiter
) -> list[AnyEvent]:
    """Return all events of the segments, decoding large ones in one of `threads`.

    Raise `msgspec.MsgspecError` if this version cannot read them.
    """
    events: list[AnyEvent] = []
    for segment in segments:
        large = is_much(len(segment.blob), Cost.EVENT_BYTE)
        decode = partial(_one_by_one if large else decode_events, segment.blob)
        events += await off_loop(large, threads, decode)
        await trio.lowlevel.checkpoint()
    return events


def _one_by_one(blob: bytes) -> list[AnyEvent]:
    # A decoder call does not release the GIL: many short calls let the event loop run in between.
    return [_decode(event) for event in _split(blob)]
