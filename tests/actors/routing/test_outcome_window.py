"""Tests of the outcome window against a list of outcomes, and of call fingerprints."""

from itertools import takewhile

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.routing.outcome_window import OutcomeWindow, call_fingerprint
from actors.turn.chat_messages import read_messages
from actors.turn.messages import UserMessage
from actors.turn.model_call import ModelCall

OUTCOMES = st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0, 4.0]), st.integers(-1, 3)))
"""Seconds since the outcome before, and the call that failed; -1 is a success."""


@given(OUTCOMES)
def test_window_counts_like_a_list(outcomes: list[tuple[float, int]]) -> None:
    window, now = OutcomeWindow(10.0), 100.0
    found: list[tuple[float, int]] = []
    for step, call in outcomes:
        now += step
        found = [(at, one) for at, one in found if (at if one != -1 else int(at)) > now - 10.0]
        if call == -1:
            window.succeed(now)
            found.append((now, call))
        else:
            is_new = call not in {one for _, one in found}
            assert window.fail(now, call) is is_new
            found += [(now, call)] * is_new
        assert window.calls(now) == len(found)
        assert window.failures(now) == sum(one != -1 for _, one in found)


@given(st.lists(st.booleans()))
def test_failures_in_a_row_are_those_since_the_last_success(outcomes: list[bool]) -> None:
    window = OutcomeWindow(1000.0)
    for now, succeeds in enumerate(outcomes):
        if succeeds:
            window.succeed(now)
        else:
            window.fail(now, now)
    row = len(list(takewhile(lambda succeeded: not succeeded, reversed(outcomes))))
    assert window.failures_in_a_row(len(outcomes)) == row


def test_success_is_taken_back_unless_it_has_left_the_window() -> None:
    window = OutcomeWindow(10.0)
    window.succeed(1)
    window.succeed(2)
    window.retract(1)
    assert window.calls(5) == 1
    window.succeed(30)
    window.retract(2)
    assert window.calls(30) == 1


def call(text: str = "hi", **parameters: object) -> ModelCall:
    messages = read_messages(
        [
            {"role": "user", "content": [{"type": "text", "text": text}]},
            {"role": "user", "content": "b"},
        ]
    )
    return ModelCall(messages=messages, parameters=parameters)


def test_identical_calls_have_the_same_fingerprint() -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    assert call_fingerprint(call(tools=tools)) == call_fingerprint(call(tools=[*tools]))


def test_any_difference_changes_the_fingerprint() -> None:
    calls = [
        call(),
        call("ho"),
        call(temperature=1),
        call(temperature=True),
        call(temperature="1"),
        call(stop=["a", ["b"]]),
        call(stop=[["a"], "b"]),
        call(stop=["a", "b"]),
        call(stop=[]),
        call(stop=None),
        replace(call(), messages=(*call().messages, UserMessage("c"))),
        replace(call(), messages=call().messages[::-1]),
        replace(call(), foreign={"top_k": ()}),
    ]
    assert len({call_fingerprint(one) for one in calls}) == len(calls)


def test_deeply_nested_and_odd_values_have_a_fingerprint() -> None:
    nested: object = "end"
    for _ in range(100_000):
        nested = [nested]
    assert call_fingerprint(call("\ud800", a=nested, b=2**100)) == call_fingerprint(
        call("\ud800", a=nested, b=2**100)
    )
