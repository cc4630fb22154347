"""Tests of the settled events: the journal without what a retry or a replacement discarded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.answer.builder import fold, settled_events
from actors.turn import events
from actors.turn.events import AnyEvent, Reasoning, Refusal, Text, ToolCall
from actors.turn.outcome import Reason
from tests.support.sample_events import STARTED, answer_events, ended

SPARE = events.RouteChanged("spare", "spare-model", "truncated")
WARNING = events.Warning("parameter_ignored", "x")
ANEW = events.Retry("truncated")
CALL = ToolCall(0, "call_a", "f", "{}")


@pytest.mark.parametrize(
    ("journal", "expected"),
    [
        ([], []),
        ([Text("a"), CALL], [Text("a"), CALL]),
        ([Text("a"), ANEW, Text("b")], [Text("b")]),
        ([WARNING, Text("a"), SPARE, ANEW, Text("b")], [WARNING, SPARE, Text("b")]),
        ([Text("a"), ANEW, Refusal("b"), ANEW, Reasoning("c")], [Reasoning("c")]),
        ([Text("a"), ANEW], []),
        ([Text("a"), Text("b"), events.Replace("c", "guard"), Text("d")], [Text("c"), Text("d")]),
        ([Reasoning("a"), events.Replace("b", "guard")], [Reasoning("a"), Text("b")]),
        ([Text("a"), CALL, Text("b"), events.Replace("c", "guard")], [Text("c"), CALL]),
        (
            [events.Replace("a", "guard"), CALL, events.Replace("b", "guard"), Text("c")],
            [Text("b"), CALL, Text("c")],
        ),
        ([events.Replace("a", "guard"), ANEW, Text("b")], [Text("b")]),
        ([Text("a"), ANEW, Text("b"), events.Replace("c", "guard")], [Text("c")]),
    ],
)
def test_discarded_events_are_dropped(journal: list[AnyEvent], expected: list[AnyEvent]) -> None:
    assert list(settled_events([STARTED, *journal, ended()])) == [STARTED, *expected, ended()]


answers = st.lists(answer_events | st.just(events.Retry("guard")), max_size=12)
journals = st.builds(
    lambda answer, end: [STARTED, *answer, end], answers, st.sampled_from(Reason).map(ended)
)


@given(journals)
def test_settled_text_is_the_text_of_the_turn(journal: list[AnyEvent]) -> None:
    expected = list(settled_events(journal))
    assert fold(expected).text == fold(journal).text
    assert not any(isinstance(event, events.Retry | events.Replace) for event in expected)
