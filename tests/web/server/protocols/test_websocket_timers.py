"""Timers of a WebSocket: pings, missing pongs, and messages that do not end."""

import math

from hypothesis import given
from hypothesis import strategies as st
from wsproto.events import CloseConnection, Ping

from web.server.protocols.websocket_timers import WebsocketTimers


def closed_at(timers: WebsocketTimers, until: float, answers: bool) -> float:
    """Run the timers until they close or until a time; return the time."""
    while (now := timers.next_at) < until:
        due = timers.due(now)
        if isinstance(due, CloseConnection):
            return now
        assert due is None or isinstance(due, Ping)
        if answers:
            timers.on_data()
    return math.inf


def test_client_that_answers_pings_may_be_silent_for_ever() -> None:
    assert closed_at(WebsocketTimers(15, 30, 0), until=1e6, answers=True) == math.inf


def test_client_that_answers_no_ping_is_closed_after_two() -> None:
    assert closed_at(WebsocketTimers(15, 30, 0), until=1e6, answers=False) == 30


@given(st.integers(0, 10**9), st.floats(0, 100))
def test_unfinished_message_has_a_deadline_whatever_arrives(received: int, began: float) -> None:
    timers = WebsocketTimers(15, 30, 0)
    assert timers.on_part(1, began)
    assert not timers.on_part(received, began + 1)
    closed = closed_at(timers, until=1e6, answers=True)
    assert began + 30 <= closed <= began + 120


def test_finished_message_has_no_deadline() -> None:
    timers = WebsocketTimers(15, 30, 0)
    timers.on_part(5, 0)
    timers.on_message()
    assert closed_at(timers, until=1e6, answers=True) == math.inf
    assert timers.on_part(5, 1e6)


def test_nothing_is_due_before_its_time() -> None:
    timers = WebsocketTimers(15, 30, 100)
    assert isinstance(timers.due(100), Ping)
    assert timers.due(114) is None
    assert timers.next_at == 115
