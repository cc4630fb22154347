"""Checkpointer: writes the journals of live turns to the store.

One task serves all live turns. It checks several times per flush interval and sends everything
that is old enough as one batch, so a hundred turns cost one transaction instead of a hundred. A
crash loses at most the last `flush_s` of a turn.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import trio

from actors.ports import TurnStore
from actors.turn.events import AnyEvent
from actors.turn.store_records import Segment, StoreUnavailable

CHECKS_PER_INTERVAL = 5

encode_events = msgspec.msgpack.Encoder().encode
decode_events = msgspec.msgpack.Decoder(list[AnyEvent]).decode
"""Decoder for a segment's blob, the msgpack array of its events; ignores unknown fields."""


def segment_of(turn_id: str, owner: str, first: int, events: list[AnyEvent]) -> Segment:
    """Return the segment with these events, numbered from `first`."""
    return Segment(turn_id, owner, first, first + len(events) - 1, encode_events(events))


@dataclass(slots=True, eq=False)
class Tail:
    """The part of one journal that the store does not have yet."""

    turn_id: str
    owner: str
    _events: list[AnyEvent]
    on_fenced: Callable[[], None]
    flushed: int = 0
    """Number of events that the store has confirmed."""
    dirty_since: float | None = None
    urgent: bool = False
    """True if the tail has reached `flush_bytes` and is due at the next check."""
    forgotten: bool = False
    """True once the tail is left to the final record."""
    rewritten: bool = False
    """True if events that the store may have were changed, so that it needs all of them again."""

    def cut(self, upcoming: list[AnyEvent] | None = None) -> Segment | None:
        """Return the events that the store lacks, followed by `upcoming`, as one segment."""
        first = 0 if self.rewritten else self.flushed
        events = self._events[first:] + (upcoming or [])
        return segment_of(self.turn_id, self.owner, first, events) if events else None


class Checkpointer:
    """The set of journal tails that need a flush, over all live turns."""

    def __init__(self, store: TurnStore, *, flush_s: float, flush_bytes: int) -> None:
        self._store = store
        self._flush_s = flush_s
        self._flush_bytes = flush_bytes
        self._dirty: dict[Tail, int] = {}
        self._store_failing = False
        """True if the store refused the last flush."""

    def mark(self, tail: Tail, added_bytes: int) -> None:
        """Record that about `added_bytes` were just appended to the tail's journal."""
        waiting = self._dirty.get(tail)
        if waiting is None:
            tail.dirty_since = trio.current_time()
            waiting = 0
        self._dirty[tail] = waiting = waiting + added_bytes
        if waiting >= self._flush_bytes:
            tail.urgent = True

    def forget(self, tail: Tail) -> None:
        """Leave the tail to the final record, because the turn is being finalised."""
        tail.forgotten = True
        self._dirty.pop(tail, None)

    async def run(self) -> None:
        """Flush due tails periodically until cancelled."""
        interval_s = self._flush_s / CHECKS_PER_INTERVAL
        while True:
            await trio.sleep(interval_s)
            # One interval early: a tail that is not due now would be late at the next check.
            due = self._take_due(trio.current_time() - (self._flush_s - interval_s))
            if due:
                await self._flush(due)

    def _take_due(self, marked_before: float) -> list[Tail]:
        due = [t for t in self._dirty if t.urgent or (t.dirty_since or 0.0) <= marked_before]
        if self._store_failing:
            # One tail is enough to probe the store. All of them keep growing, and encoding them
            # at each check would take longer and longer.
            del due[1:]
        for tail in due:
            del self._dirty[tail]
            tail.urgent = False
        return due

    async def _flush(self, tails: list[Tail]) -> None:
        cuts = {tail: segment for tail in tails if (segment := tail.cut()) is not None}
        try:
            fenced = await self._store.checkpoint(list(cuts.values()))
        except StoreUnavailable:
            # Nothing is lost: the events are in memory and a later flush holds them all.
            self._store_failing = True
            for tail in cuts:
                if not tail.forgotten:
                    self._dirty.setdefault(tail, 0)
            return
        self._store_failing = False
        for tail, segment in cuts.items():
            if segment.turn_id in fenced:
                tail.on_fenced()
            else:
                tail.flushed = max(tail.flushed, segment.last_seq + 1)
