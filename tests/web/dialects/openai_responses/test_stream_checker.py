"""Tests that the stream checker of the tests detects invalid Responses streams."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from actors.turn.events import AnyEvent, Reasoning, Refusal, Text, ToolCallDelta
from tests.support.messages_readers import Frame, frames_of
from tests.support.responses_readers import check_grammar, read_event, read_stream
from tests.support.sample_events import STARTED, ended
from web.dialects.openai_responses.stream import Responses

JOURNAL: list[AnyEvent] = [
    STARTED,
    Reasoning("hm"),
    Text("a"),
    Refusal("no"),
    ToolCallDelta(0, "call_a", "f", "{}"),
    Text("b"),
    ended(),
]
FRAMES = frames_of(Responses({}).render(JOURNAL))
EVENTS: list[dict[str, Any]] = [json.loads(frame.data) for frame in FRAMES]


def numbered(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**event, "sequence_number": number} for number, event in enumerate(found)]


def test_sample_is_valid() -> None:
    assert read_stream(Responses({}).render(JOURNAL)) == EVENTS


@pytest.mark.parametrize("at", range(len(EVENTS)))
def test_missing_or_repeated_event_is_detected(at: int) -> None:
    with pytest.raises((AssertionError, KeyError, IndexError)):
        check_grammar(numbered(EVENTS[:at] + EVENTS[at + 1 :]))
    with pytest.raises((AssertionError, KeyError, IndexError)):
        check_grammar(numbered(EVENTS[: at + 1] + EVENTS[at:]))


@pytest.mark.parametrize("at", range(len(EVENTS)))
def test_missing_unknown_or_mistyped_field_is_detected(at: int) -> None:
    frame, event = FRAMES[at], EVENTS[at]
    for wrong in (
        {**event, "unknown": 1},
        {**event, "sequence_number": str(event["sequence_number"])},
        {name: value for name, value in event.items() if name != "sequence_number"},
    ):
        with pytest.raises((ValidationError, AssertionError)):
            read_event(Frame(frame.id, frame.event, json.dumps(wrong), b""))
