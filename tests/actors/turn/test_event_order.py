"""Tests of the event order, row by row of its table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.turn import events
from actors.turn.event_order import TABLE, EventOrder, JournalState, OutOfOrder
from actors.turn.events import AnyEvent, Ended, Started
from actors.turn.outcome import Reason, Status

STARTED = Started(turn_id="t", model="m", provider=None, upstream_model=None, created_at=0.0)
ENDED = Ended(
    status=Status.COMPLETED,
    reason=Reason.STOP,
    usage=None,
    cost_micros=0,
    provider=None,
    upstream_model=None,
    created_at=0.0,
    first_token_at=None,
    ended_at=1.0,
)
BLOCKED = events.Blocked("bad words")
ANSWER: list[AnyEvent] = [
    events.Text("a"),
    events.Reasoning("a"),
    events.ReasoningState("anthropic", "{}"),
    events.Refusal("a"),
    events.MessagePhase("commentary"),
    events.Annotation("{}"),
    events.NativeItem("anthropic", "{}"),
    events.ToolCallDelta(0, "id", "name", ""),
    events.ToolCall(0, "id", "name", "{}"),
    events.Warning("code", "message"),
    events.RouteChanged("p", "m", "refused"),
    events.Retry("cut"),
    events.Replace("b", "guard"),
    events.Recovered(1),
]
ALL = [STARTED, *ANSWER, BLOCKED, ENDED]

TO: dict[JournalState, list[AnyEvent]] = {
    JournalState.EMPTY: [],
    JournalState.OPEN: [STARTED],
    JournalState.BLOCKED: [STARTED, BLOCKED],
    JournalState.ENDED: [STARTED, ENDED],
}
"""Shortest sequence of events to each state."""

ROWS: list[tuple[JournalState, AnyEvent, JournalState | None]] = [
    *[(JournalState.EMPTY, event, None) for event in [*ANSWER, BLOCKED, ENDED]],
    (JournalState.EMPTY, STARTED, JournalState.OPEN),
    *[(JournalState.OPEN, event, JournalState.OPEN) for event in ANSWER],
    (JournalState.OPEN, STARTED, None),
    (JournalState.OPEN, BLOCKED, JournalState.BLOCKED),
    (JournalState.OPEN, ENDED, JournalState.ENDED),
    *[(JournalState.BLOCKED, event, None) for event in [STARTED, *ANSWER, BLOCKED]],
    (JournalState.BLOCKED, ENDED, JournalState.ENDED),
    *[(JournalState.ENDED, event, None) for event in ALL],
]


def at(place: JournalState) -> EventOrder:
    order = EventOrder()
    for event in TO[place]:
        order.advance(event)
    assert order.place is place
    return order


@pytest.mark.parametrize(
    ("state", "event", "following"),
    ROWS,
    ids=lambda value: getattr(value, "name", type(value).__name__),
)
def test_transition(state: JournalState, event: AnyEvent, following: JournalState | None) -> None:
    order = at(state)
    if following is None:
        with pytest.raises(OutOfOrder, match=type(event).__name__):
            order.advance(event)
        assert order.place is state
    else:
        order.advance(event)
        assert order.place is following


def test_rows_are_complete() -> None:
    assert {type(event) for event in ALL} == set(AnyEvent.__args__)
    assert len(ROWS) == len(TABLE) * len(ALL)


@given(st.lists(st.sampled_from(ALL)))
def test_any_admitted_sequence_is_a_valid_turn(offered: list[AnyEvent]) -> None:
    order, admitted = EventOrder(), []
    for event in offered:
        try:
            order.advance(event)
        except OutOfOrder:
            continue
        admitted.append(type(event))
    assert admitted.count(Started) == bool(admitted)
    assert admitted[:1] in ([], [Started])
    assert admitted.count(Ended) <= 1
    assert Ended not in admitted[:-1]
    assert admitted.count(events.Blocked) <= 1
    if events.Blocked in admitted:
        assert admitted[admitted.index(events.Blocked) + 1 :] in ([], [Ended])
