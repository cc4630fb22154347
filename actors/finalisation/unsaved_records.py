"""Retry queue for final records that neither the database nor the spool took.

They are in the log too. After a temporary failure, such as a full disk, they still reach the
database unless the server restarts before that.
"""

from collections import deque
from collections.abc import Callable

import trio

from actors.ports import EventBus, TurnStore
from actors.turn.lifecycle_events import ActorCrashed
from actors.turn.store_records import FinalRecord, StoreUnavailable

MAX_BYTES = 64 * 1024 * 1024
"""Memory limit for these records; further records are only in the log."""
RETRY_S = 1.0
"""Seconds between two attempts to store them."""


class Unsaved:
    """A queue of unsaved records, oldest first."""

    def __init__(self, store: TurnStore, bus: EventBus) -> None:
        self._store = store
        self._bus = bus
        self._records: deque[FinalRecord] = deque()
        self._bytes = 0
        self._not_empty = trio.Event()

    def __len__(self) -> int:
        return len(self._records)

    def keep(self, record: FinalRecord) -> None:
        """Queue a record if the memory limit allows it."""
        if self._bytes + _size(record) <= MAX_BYTES:
            self._records.append(record)
            self._bytes += _size(record)
            self._not_empty.set()

    async def run(self, settled: Callable[[], None]) -> None:
        """Store queued records until cancelled; call `settled` each time all are stored."""
        while True:
            await self._not_empty.wait()
            await trio.sleep(RETRY_S)
            await self._store_records()
            if not self._records:
                self._not_empty = trio.Event()
                settled()

    async def _store_records(self) -> None:
        while self._records:
            record = self._records[0]
            try:
                await self._store.finalise(record)
            except StoreUnavailable:
                return
            except Exception as error:
                # A bug: the record would be refused for ever and block all later ones.
                self._bus.publish(ActorCrashed(record.turn.id, error))
            self._records.popleft()
            self._bytes -= _size(record)


def _size(record: FinalRecord) -> int:
    content = len(record.text) + len(record.items or "") + len(record.turn.input_items or "")
    return content + (len(record.segment.blob) if record.segment else 0)
