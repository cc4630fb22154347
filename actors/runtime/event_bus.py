"""Event bus of one process: calls the subscribers of an event when it is published."""

from collections import defaultdict
from collections.abc import Callable
from typing import TypeVar, cast

E = TypeVar("E")


class LocalEventBus:
    """An event bus without a queue. Subscribers are cheap and synchronous and never raise."""

    def __init__(self) -> None:
        self._subscribers: defaultdict[type, list[Callable[[object], None]]] = defaultdict(list)

    def subscribe(self, kind: type[E], subscriber: Callable[[E], None]) -> None:
        """Call `subscriber` with each event of exactly this type."""
        self._subscribers[kind].append(cast("Callable[[object], None]", subscriber))

    def publish(self, event: object) -> None:
        """Call the event's subscribers in the order in which they subscribed."""
        for subscriber in self._subscribers[type(event)]:
            subscriber(event)
