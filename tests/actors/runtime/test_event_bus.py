"""Tests of the event bus."""

from actors.ports import EventBus
from actors.runtime.event_bus import LocalEventBus
from actors.turn.lifecycle_events import ActorCrashed, StoreRefusal


def test_events_reach_the_subscribers_of_their_type_in_order() -> None:
    seen: list[tuple[str, str]] = []
    bus = LocalEventBus()
    bus.subscribe(ActorCrashed, lambda event: seen.append(("one", event.turn_id)))
    bus.subscribe(StoreRefusal, lambda event: seen.append(("two", event.turn_id)))
    bus.subscribe(ActorCrashed, lambda event: seen.append(("three", event.turn_id)))
    port: EventBus = bus
    port.publish(ActorCrashed("turn_1", ValueError()))
    port.publish(StoreRefusal("turn_2", ValueError()))
    assert seen == [("one", "turn_1"), ("three", "turn_1"), ("two", "turn_2")]


def test_event_without_subscribers_is_dropped() -> None:
    LocalEventBus().publish(ActorCrashed("turn_1", ValueError()))
