"""Tests of the Message object of a turn, and that its stream accumulates to the same."""

import json
from typing import Any

import msgspec
import pytest
from anthropic.types import Message
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.turn import events
from actors.turn.events import AnyEvent, Text, ToolCall, ToolCallDelta
from actors.turn.outcome import Reason
from tests.support.messages_readers import accumulated, frames_of, read_event, read_message
from tests.support.sample_events import STARTED, answer_events, ended
from web.dialects.anthropic_messages.message import INVALID, message
from web.dialects.anthropic_messages.stream import STOP_REASONS, Messages


def content(*answer: AnyEvent, reason: Reason = Reason.STOP) -> list[dict[str, Any]]:
    body = msgspec.json.encode(message([STARTED, *answer, ended(reason)]))
    read_message(body)
    return json.loads(body)["content"]  # type: ignore[no-any-return]


def test_object_matches_the_golden_sample() -> None:
    assert message([STARTED, Text("Hel"), Text("lo"), ended()]) == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "large",
        "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 4,
            "cache_creation_input_tokens": 1,
            "cache_read_input_tokens": 2,
            "output_tokens": 3,
            "output_tokens_details": {"thinking_tokens": 1},
        },
    }


def test_thinking_text_and_calls_keep_their_order() -> None:
    assert content(
        events.Reasoning("hm"),
        Text("Well"),
        events.Refusal(", no"),
        ToolCallDelta(0, "call_1", "f", '{"a":1}'),
        ToolCall(0, "call_1", "f", '{"a":1}'),
        Text("!"),
    ) == [
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "text", "text": "Well, no"},
        {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}},
        {"type": "text", "text": "!"},
    ]


def test_empty_answer_has_no_content() -> None:
    assert content() == []


@pytest.mark.parametrize(
    ("arguments", "input"),
    [
        ("", {}),
        (" \n", {}),
        ("{}", {}),
        ('{"a": [1, null]}', {"a": [1, None]}),
        ('{"a": ', {INVALID: '{"a": '}),
        ("[1]", {INVALID: "[1]"}),
        ("null", {INVALID: "null"}),
        ("nonsense", {INVALID: "nonsense"}),
    ],
)
def test_arguments_that_are_not_an_object_are_kept(arguments: str, input: dict[str, Any]) -> None:
    (call,) = content(ToolCallDelta(0, "c", "f", arguments), reason=Reason.LENGTH)
    assert call["input"] == input


def test_content_discarded_by_retry_or_replace_is_omitted() -> None:
    assert content(Text("bad"), events.Retry("cut"), Text("good")) == [
        {"type": "text", "text": "good"}
    ]
    assert content(Text("bad"), events.Replace("good", "guard"), Text("!")) == [
        {"type": "text", "text": "good!"}
    ]


def test_usage_is_the_estimate_if_unknown() -> None:
    whole = message([STARTED, Text("a"), ended(usage=None)])
    assert read_message(msgspec.json.encode(whole)).usage.output_tokens == 0


@pytest.mark.parametrize("reason", sorted(STOP_REASONS))
def test_stop_reason_is_set(reason: Reason) -> None:
    whole = read_message(msgspec.json.encode(message([STARTED, ended(reason)])))
    assert whole.stop_reason == STOP_REASONS[reason]
    assert (whole.stop_details is not None) is (whole.stop_reason == "refusal")


def test_stop_sequence_that_was_met_is_named() -> None:
    end = replace(ended(), stop_sequence="END")
    whole = read_message(msgspec.json.encode(message([STARTED, end])))
    assert (whole.stop_reason, whole.stop_sequence) == ("stop_sequence", "END")


def test_incomplete_journal_is_rejected() -> None:
    with pytest.raises(ValueError, match="must begin with Started"):
        message([STARTED, Text("a")])


arguments = st.dictionaries(st.text(max_size=2), st.integers(0, 9), max_size=2).map(json.dumps)
calls = st.builds(
    ToolCallDelta, st.integers(0, 2), st.sampled_from([None, "a", "b"]), st.just("f"), arguments
)


def shown(message: Message) -> list[dict[str, Any]]:
    """Return the content without the field that the SDK adds."""
    return [block.model_dump(exclude={"parsed_output"}) for block in message.content]


def is_shown_once(event: AnyEvent) -> bool:
    """Return whether the event neither discards content nor adds random arguments to a call."""
    return not isinstance(event, events.Replace | ToolCallDelta | ToolCall)


def follows_its_text(before: AnyEvent) -> bool:
    return isinstance(before, events.Annotation) or (
        isinstance(before, Text) and before.delta != ""
    )


@given(st.lists(answer_events.filter(is_shown_once) | calls, max_size=12))
def test_accumulated_stream_equals_the_object(answer: list[AnyEvent]) -> None:
    seen: set[int] = set()
    journal: list[AnyEvent] = [STARTED]
    for event in answer:  # each call occurs once and complete
        if isinstance(event, ToolCallDelta):
            if event.index in seen:
                continue
            seen.add(event.index)
        if isinstance(event, events.Annotation) and not follows_its_text(journal[-1]):
            continue  # a stream cannot show a text that is still to come
        journal.append(event)
    journal.append(ended(Reason.TOOL_CALLS))
    streamed = accumulated([read_event(f) for f in frames_of(Messages({}).render(journal))])
    whole = read_message(msgspec.json.encode(message(journal)))
    assert shown(streamed) == shown(whole)
    assert (streamed.stop_reason, streamed.usage) == (whole.stop_reason, whole.usage)


@given(st.lists(answer_events, max_size=10), st.sampled_from(sorted(STOP_REASONS)))
def test_every_object_parses_with_the_sdk_types(answer: list[AnyEvent], reason: Reason) -> None:
    whole = read_message(msgspec.json.encode(message([STARTED, *answer, ended(reason)])))
    assert whole.stop_reason == STOP_REASONS[reason]
