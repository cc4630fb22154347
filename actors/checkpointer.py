"""The checkpointer: brings journals to the store while their turns go on.

One task for all live turns. It looks around several times per flush interval and sends what is
old enough as one batch, so that a hundred turns cost one transaction, not a hundred. A crash
loses at most the last `flush_s` of a turn.
"""

from collections.abc import Callable

import msgspec
import trio

from actors.events import AnyEvent
from actors.ports import Segment, StoreUnavailable, TurnStore

LOOKS_PER_INTERVAL = 5

encode_events = msgspec.msgpack.Encoder().encode
decode_events = msgspec.msgpack.Decoder(list[AnyEvent]).decode
"""A segment's blob is the msgpack array of its events; unknown fields are ignored."""


class Tail:
    """The end of one journal that the store does not have yet."""

    __slots__ = (
        "_events",
        "dirty_since",
        "flushed",
        "forgotten",
        "on_fenced",
        "owner",
        "turn_id",
        "urgent",
    )

    def __init__(
        self, turn_id: str, owner: str, events: list[AnyEvent], on_fenced: Callable[[], None]
    ) -> None:
        self.turn_id = turn_id
        self.owner = owner
        self.flushed = 0
        """How many events the store has confirmed."""
        self.dirty_since: float | None = None
        self.urgent = False
        """Whether more waits than a flush should hold."""
        self.forgotten = False
        """Whether the final record takes the rest."""
        self.on_fenced = on_fenced
        self._events = events

    def cut(self, upcoming: list[AnyEvent] | None = None) -> Segment | None:
        """The events that the store lacks, and then `upcoming`, as one segment."""
        events = self._events[self.flushed :] + (upcoming or [])
        if not events:
            return None
        last = self.flushed + len(events) - 1
        return Segment(self.turn_id, self.owner, self.flushed, last, encode_events(events))


class Checkpointer:
    """Knows the dirty tails of all live turns."""

    def __init__(self, store: TurnStore, *, flush_s: float, flush_bytes: int) -> None:
        self._store = store
        self._flush_s = flush_s
        self._flush_bytes = flush_bytes
        self._dirty: dict[Tail, int] = {}
        self._away = False
        """Whether the store refused the last flush."""

    def mark(self, tail: Tail, added_bytes: int) -> None:
        """About `added_bytes` were appended to the tail's journal just now."""
        waiting = self._dirty.get(tail)
        if waiting is None:
            tail.dirty_since = trio.current_time()
            waiting = 0
        self._dirty[tail] = waiting = waiting + added_bytes
        if waiting >= self._flush_bytes:
            tail.urgent = True

    def forget(self, tail: Tail) -> None:
        """The turn is being finalised: its tail goes with the final record."""
        tail.forgotten = True
        self._dirty.pop(tail, None)

    async def run(self) -> None:
        """The service task: flush what is due until cancelled."""
        look_every = self._flush_s / LOOKS_PER_INTERVAL
        while True:
            await trio.sleep(look_every)
            due = self._take_due(trio.current_time() - (self._flush_s - look_every))
            if due:
                await self._flush(due)

    def _take_due(self, marked_before: float) -> list[Tail]:
        due = [t for t in self._dirty if t.urgent or (t.dirty_since or 0.0) <= marked_before]
        if self._away:
            # One will tell. All of them grow and grow, and would be encoded at each look.
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
            self._away = True
            for tail in cuts:
                if not tail.forgotten:
                    self._dirty.setdefault(tail, 0)
            return
        self._away = False
        for tail, segment in cuts.items():
            if segment.turn_id in fenced:
                tail.on_fenced()
            else:
                tail.flushed = max(tail.flushed, segment.last_seq + 1)
