"""Journal of a turn: the numbered events and the subscriptions that read them.

One task appends (the persister); any number of subscriptions read, each at its own position. No
reader can block the writer or another reader.
"""

from actors.runtime.wait_queue import WaitQueue
from actors.turn.events import AnyEvent, Replace, Text

AT_ONCE = 128
"""Maximum number of events per read; it limits the rendered bytes that a slow reader holds."""


class Journal:
    """The ordered events of one turn in memory. An event's number is its index here."""

    __slots__ = ("closed", "events", "readers")

    def __init__(self, events: list[AnyEvent] | None = None, *, closed: bool = False) -> None:
        self.events: list[AnyEvent] = [] if events is None else events
        self.closed = closed
        self.readers = WaitQueue()
        """Readers that have read everything; wait with `wait` or a subscription instead."""

    def append(self, events: list[AnyEvent]) -> None:
        """Add events and wake the readers."""
        self.events += events
        self.readers.wake()

    def withdraw_text(self) -> None:
        """Put the text of the last `replace` in the place of the texts before it.

        The events keep their numbers, so that readers are not disturbed: the first text becomes
        the replacement, and the others are empty.
        """
        replaces = [n for n, event in enumerate(self.events) if isinstance(event, Replace)]
        last = self.events[replaces[-1]]
        rest = [last.text] if isinstance(last, Replace) else []
        for number, event in enumerate(self.events[: replaces[-1]]):
            if isinstance(event, Text):
                self.events[number] = Text(rest.pop() if rest else "")

    def close(self) -> None:
        """Mark the journal as complete and wake the readers."""
        self.closed = True
        self.readers.wake()

    def nudge(self) -> None:
        """Wake waiting readers without a new event, so that they can send a heartbeat."""
        self.readers.wake()

    def subscribe(self, position: int = 0) -> "Subscription":
        """Return a subscription that starts at the event numbered `position`."""
        return Subscription(self, position)

    async def wait(self) -> None:
        """Wait for the next append, nudge or close."""
        await self.readers.wait()


class Subscription:
    """A reading position in a journal."""

    __slots__ = ("_journal", "_position")

    def __init__(self, journal: Journal, position: int) -> None:
        self._journal = journal
        self._position = position

    @property
    def closed(self) -> bool:
        """True if the journal is complete, even if some events have not been read yet."""
        return self._journal.closed

    @property
    def exhausted(self) -> bool:
        """True if the journal is complete and every event has been read."""
        return self._journal.closed and self._position >= len(self._journal.events)

    @property
    def behind(self) -> int:
        """Number of events that have not been read yet."""
        return max(0, len(self._journal.events) - self._position)

    def read_nowait(self) -> list[AnyEvent]:
        """Return the next events, at most `AT_ONCE`; may be empty."""
        position = self._position
        events = self._journal.events[position : position + AT_ONCE]
        self._position = position + len(events)
        return events

    async def read(self) -> list[AnyEvent]:
        """Wait for events. Return an empty list after a nudge or when exhausted."""
        journal = self._journal
        if self._position >= len(journal.events) and not journal.closed:
            await journal.readers.wait()
        return self.read_nowait()
