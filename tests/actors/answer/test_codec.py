"""Tests of long answers: their detection, and piecewise encoding and decoding."""

import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.answer.builder import fold
from actors.answer.codec import decode_items, encode_items, is_long
from actors.answer.items import items_of
from actors.runtime import offload
from actors.runtime.offload import BUDGET, Cost
from actors.turn import events
from actors.turn.events import AnyEvent, Reasoning, Refusal, Text, ToolCall, ToolCallDelta
from actors.turn.outcome import Reason
from tests.support.sample_events import STARTED, answer_events, ended

LONG_EVENTS = BUDGET // Cost.EVENT
LONG_TEXT = BUDGET // Cost.ANSWER_TEXT
HALF = "a" * (LONG_TEXT // 2)


@pytest.mark.parametrize(
    ("answer", "long"),
    [
        ([], False),
        ([Text("a")] * (LONG_EVENTS - 2), False),
        ([Text("a")] * LONG_EVENTS, True),
        ([Text("a" * LONG_TEXT)], False),
        ([Text("a" * LONG_TEXT), Text("a")], True),
        ([Text(HALF), Reasoning(HALF)], False),
        ([Text(HALF), Reasoning(HALF), Refusal("a")], True),
        ([ToolCallDelta(0, "c", "f", HALF), ToolCall(0, "c", "f", HALF)], False),
        ([ToolCallDelta(0, "c", "f", HALF), ToolCall(0, "c", "f", HALF + "a")], True),
        ([events.Replace(HALF + HALF + "a", "guard")], True),
        ([Text("", "x" * (LONG_TEXT // Cost.LOGPROBS))], False),
        ([Text("", "x" * (LONG_TEXT // Cost.LOGPROBS + 1))], True),
        ([events.Retry("guard"), events.Warning("a", HALF + HALF + "a")], False),
    ],
)
def test_which_answers_are_long(answer: list[AnyEvent], long: bool) -> None:
    assert is_long([STARTED, *answer, ended()]) is long


def test_short_answer_is_classified_quickly() -> None:
    journal: list[AnyEvent] = [STARTED, *[Text("word ", "{}")] * (LONG_EVENTS - 2), ended()]
    started_at = time.process_time()
    for _ in range(100):
        assert not is_long(journal)
    assert time.process_time() - started_at < 0.1, "a check takes over 1 ms"


answers = st.lists(answer_events | st.builds(Text, st.text(), st.text()), max_size=12)


@given(answers, st.sampled_from(Reason))
def test_pieces_give_the_same_json_and_items(answer: list[AnyEvent], reason: Reason) -> None:
    items = items_of(fold([STARTED, *answer, ended(reason)]))
    stored = encode_items(items)
    assert stored == (msgspec.json.encode(items).decode() if items else None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(offload, "BUDGET", 0)
        assert encode_items(items) == stored
        assert decode_items(stored or "[]") == items
    assert decode_items(stored or "[]") == items


@pytest.mark.parametrize("budget", [0, BUDGET])
@pytest.mark.parametrize("stored", ["", "{}", '[{"type":"other"}]', '[{"type":"message"}]'])
def test_other_json_is_refused(stored: str, budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offload, "BUDGET", budget)
    with pytest.raises(msgspec.MsgspecError):
        decode_items(stored)
