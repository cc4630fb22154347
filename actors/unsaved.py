"""Final records that neither database nor spool took: the log has them, and they are offered again.

So a disk that was full for a while costs nothing but a restart in the meantime.
"""

from collections import deque
from collections.abc import Callable

import trio

from actors.observer import Observer
from actors.ports import FinalRecord, StoreUnavailable, TurnStore

MOST_BYTES = 64 * 1024 * 1024
"""What these records may take in memory; what is more is in the log alone."""
RETRY_S = 1.0


class Unsaved:
    """The records, oldest first."""

    def __init__(self, store: TurnStore, observer: Observer) -> None:
        self._store = store
        self._observer = observer
        self._records: deque[FinalRecord] = deque()
        self._bytes = 0
        self._something = trio.Event()

    def __len__(self) -> int:
        return len(self._records)

    def keep(self, record: FinalRecord) -> None:
        """Remember a record, if there is room."""
        if self._bytes + _size(record) <= MOST_BYTES:
            self._records.append(record)
            self._bytes += _size(record)
            self._something.set()

    async def keep_offering(self, settled: Callable[[], None]) -> None:
        """The service task: offer them until the store takes them, and then say `settled`."""
        while True:
            await self._something.wait()
            await trio.sleep(RETRY_S)
            await self._offer()
            if not self._records:
                self._something = trio.Event()
                settled()

    async def _offer(self) -> None:
        while self._records:
            record = self._records[0]
            try:
                await self._store.finalise(record)
            except StoreUnavailable:
                return
            except Exception as error:
                # It would be refused for ever, and keep all others out.
                self._observer.crashed(record.turn.id, error)
            self._records.popleft()
            self._bytes -= _size(record)


def _size(record: FinalRecord) -> int:
    said = len(record.text) + len(record.items or "") + len(record.turn.input_items or "")
    return said + (len(record.segment.blob) if record.segment else 0)
