"""A turn's journal: the numbered events, and the readers that follow them.

One task appends (the persister); any number of subscriptions read, each at its own place. No
reader can hold up the writer or another reader.
"""

from collections.abc import Sequence

from actors.events import AnyEvent
from actors.waiters import Waiters

AT_ONCE = 128
"""Events that one reading takes. It bounds what a reader that lags holds as bytes."""


def after_last(events: Sequence[AnyEvent], kind: type[AnyEvent], least: int = 0) -> int:
    """The place after the last event of this kind; `least` where there is none from there on.

    Looks at 100,000 in a millisecond or two.
    """
    kinds = list(map(type, reversed(events[least:])))
    return len(events) - kinds.index(kind) if kind in kinds else least


class Journal:
    """The ordered events of one turn, live in memory. An event's number is its place here."""

    __slots__ = ("closed", "events", "readers")

    def __init__(self, events: list[AnyEvent] | None = None, *, closed: bool = False) -> None:
        self.events: list[AnyEvent] = [] if events is None else events
        self.closed = closed
        self.readers = Waiters()
        """Who has seen everything and waits; use `wait` or a subscription."""

    def append(self, events: list[AnyEvent]) -> None:
        """Add events and wake the readers."""
        self.events += events
        self.readers.wake()

    def close(self) -> None:
        """No more events will come."""
        self.closed = True
        self.readers.wake()

    def nudge(self) -> None:
        """Wake waiting readers although nothing has come, so that they can send a heartbeat."""
        self.readers.wake()

    @property
    def has_waiting_readers(self) -> bool:
        """Whether a reader has seen everything and waits."""
        return bool(self.readers)

    def subscribe(self, position: int = 0) -> "Subscription":
        """Read from the event numbered `position` on."""
        return Subscription(self, position)

    async def wait(self) -> None:
        """Wait until something is appended, or for a nudge or the end."""
        await self.readers.wait()


class Subscription:
    """A reading position in a journal."""

    __slots__ = ("_journal", "_position")

    def __init__(self, journal: Journal, position: int) -> None:
        self._journal = journal
        self._position = position

    @property
    def closed(self) -> bool:
        """Whether the journal is over; what has not been read of it is still to come."""
        return self._journal.closed

    @property
    def exhausted(self) -> bool:
        """Whether every event has been read and none will come."""
        return self._journal.closed and self._position >= len(self._journal.events)

    @property
    def behind(self) -> int:
        """How many events have not been read yet."""
        return max(0, len(self._journal.events) - self._position)

    def read_nowait(self) -> list[AnyEvent]:
        """The next events, at most `AT_ONCE`; may be empty."""
        position = self._position
        events = self._journal.events[position : position + AT_ONCE]
        self._position = position + len(events)
        return events

    async def read(self) -> list[AnyEvent]:
        """Wait for events. Empty after a nudge, and when the subscription is exhausted."""
        journal = self._journal
        if self._position >= len(journal.events) and not journal.closed:
            await journal.readers.wait()
        return self.read_nowait()
