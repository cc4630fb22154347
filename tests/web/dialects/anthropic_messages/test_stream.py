"""Tests of the Messages stream: its bytes, blocks and ends, and resuming after every frame."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.turn import events
from actors.turn.events import AnyEvent, Ended, Text, ToolCall, ToolCallDelta
from actors.turn.outcome import ErrorInfo, Reason, Usage
from tests.support.chat_readers import comments_of
from tests.support.dialect_journals import check_after_a_crash, cuts, ends, recovered_journals
from tests.support.messages_readers import (
    Frame,
    accumulated,
    check_grammar,
    frames_of,
    read_event,
    sdk_events,
)
from tests.support.sample_events import STARTED, answer_events, cut_at, ended, short_text
from tests.support.sizes import examples
from web.dialects.anthropic_messages.errors import error_type
from web.dialects.anthropic_messages.message import message
from web.dialects.anthropic_messages.stream import NAME, PING, STOP_REASONS, Messages, message_id
from web.dialects.frames import START, parse_cursor

ERRORS = sorted(set(Reason) - set(STOP_REASONS))


def render(journal: list[AnyEvent], *, after: str | None = None) -> bytes:
    cursor = parse_cursor(after, NAME) if after is not None else START
    return Messages({}, cursor).render(journal)


def read(journal: list[AnyEvent]) -> list[Any]:
    """Return the events of a journal's stream, after checking each and their order."""
    found = [read_event(frame) for frame in frames_of(render(journal))]
    check_grammar(found)
    return found


def deltas(journal: list[AnyEvent]) -> list[tuple[int, str]]:
    """Return index and text of all block deltas."""
    found = [event for event in read(journal) if event.type == "content_block_delta"]
    return [(e.index, getattr(e.delta, FIELDS[e.delta.type])) for e in found]


FIELDS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}


def test_stream_matches_the_golden_sample() -> None:
    assert render([STARTED, Text("Hel"), Text("lo"), ended()]) == (
        b"id: anthropic-messages:0\nevent: message_start\n"
        b'data: {"type":"message_start","message":{"id":"msg_1","type":"message",'
        b'"role":"assistant","model":"large","content":[],"stop_reason":null,'
        b'"stop_sequence":null,"usage":{"input_tokens":0,"cache_creation_input_tokens":0,'
        b'"cache_read_input_tokens":0,"output_tokens":0,'
        b'"output_tokens_details":{"thinking_tokens":0}}}}\n\n'
        b"id: anthropic-messages:1\nevent: content_block_start\n"
        b'data: {"type":"content_block_start","index":0,'
        b'"content_block":{"type":"text","text":""}}\n\n'
        b"id: anthropic-messages:2\nevent: content_block_delta\n"
        b'data: {"type":"content_block_delta","index":0,'
        b'"delta":{"type":"text_delta","text":"Hel"}}\n\n'
        b"id: anthropic-messages:3\nevent: content_block_delta\n"
        b'data: {"type":"content_block_delta","index":0,'
        b'"delta":{"type":"text_delta","text":"lo"}}\n\n'
        b"id: anthropic-messages:4\nevent: content_block_stop\n"
        b'data: {"type":"content_block_stop","index":0}\n\n'
        b"id: anthropic-messages:5\nevent: message_delta\n"
        b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
        b'"usage":{"input_tokens":4,"cache_creation_input_tokens":1,"cache_read_input_tokens":2,'
        b'"output_tokens":3,"output_tokens_details":{"thinking_tokens":1}}}\n\n'
        b"id: anthropic-messages:6\nevent: message_stop\n"
        b'data: {"type":"message_stop"}\n\n'
    )


def test_start_has_the_estimate_and_end_the_usage() -> None:
    started = events.Started(
        turn_id="turn_1",
        model="large",
        provider=None,
        upstream_model=None,
        created_at=0,
        input_estimate=40,
    )
    start, *_, delta, _ = read([started, Text("a"), ended()])
    assert start.message.model == "large"
    assert start.message.usage.input_tokens == 40
    read_from_cache, written = (
        delta.usage.cache_read_input_tokens,
        delta.usage.cache_creation_input_tokens,
    )
    assert (delta.usage.input_tokens, written, read_from_cache) == (4, 1, 2)
    assert (delta.usage.output_tokens, delta.usage.output_tokens_details.thinking_tokens) == (3, 1)


def test_stop_sequence_that_was_met_is_named() -> None:
    *_, delta, _ = read([STARTED, Text("a"), replace(ended(), stop_sequence="END")])
    assert (delta.delta.stop_reason, delta.delta.stop_sequence) == ("stop_sequence", "END")


def test_estimate_remains_without_usage() -> None:
    *_, delta, _ = read([STARTED, Text("a"), ended(usage=None)])
    assert delta.usage.model_dump(exclude_unset=True) == {"output_tokens": 0}


def test_more_cached_than_input_tokens_are_not_negative() -> None:
    usage = Usage(input_tokens=3, output_tokens=1, cached_input_tokens=5)
    *_, delta, _ = read([STARTED, ended(usage=usage)])
    assert delta.usage.input_tokens == 0


def test_thinking_text_and_call_are_consecutive_blocks() -> None:
    journal: list[AnyEvent] = [
        STARTED,
        events.Reasoning("h"),
        events.Reasoning("m"),
        Text("Well"),
        events.Refusal(", no"),
        ToolCallDelta(0, "call_1", "f", ""),
        ToolCallDelta(0, None, None, '{"a":'),
        ToolCallDelta(0, None, None, "1}"),
        ToolCall(0, "call_1", "f", '{"a":1}'),
        ended(Reason.TOOL_CALLS),
    ]
    starts = [e.content_block for e in read(journal) if e.type == "content_block_start"]
    assert [start.model_dump(exclude_unset=True) for start in starts] == [
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "text", "text": ""},
        {"type": "tool_use", "id": "call_1", "name": "f", "input": {}},
    ]
    assert deltas(journal) == [
        (0, "h"),
        (0, "m"),
        (1, "Well"),
        (1, ", no"),
        (2, '{"a":'),
        (2, "1}"),
    ]
    assert accumulated(read(journal)).content[2].model_dump(exclude_unset=True) == {
        "type": "tool_use",
        "id": "call_1",
        "name": "f",
        "input": {"a": 1},
    }


def test_complete_call_ends_when_the_next_begins() -> None:
    journal: list[AnyEvent] = [
        STARTED,
        ToolCallDelta(0, "a", "f", "{}"),
        ToolCallDelta(1, "b", "g", '{"x":'),
    ]
    assert [e.type for e in read_all(journal)][-3:] == [
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
    ]


def read_all(journal: list[AnyEvent]) -> list[Any]:
    """Return the events of a stream that has not ended."""
    return [read_event(frame) for frame in frames_of(render(journal))]


def test_interleaved_calls_become_consecutive_blocks() -> None:
    journal: list[AnyEvent] = [
        STARTED,
        ToolCallDelta(0, "a", "f", '{"x'),
        ToolCallDelta(1, "b", "g", '{"y'),
        ToolCallDelta(0, None, None, '":1}'),
        Text("So."),
        ToolCallDelta(1, None, None, '":2}'),
    ]
    shown = [(e.index, e.delta) for e in read_all(journal[:5]) if hasattr(e, "delta")]
    pieces = [(index, delta.partial_json) for index, delta in shown]
    assert pieces == [(0, '{"x'), (0, '":1}'), (1, '{"y')], "what was whole made way"
    assert read_all(journal)[-1].delta.text == "So.", "and so did the other"
    whole = [
        *journal,
        ToolCall(0, "a", "f", '{"x":1}'),
        ToolCall(1, "b", "g", '{"y":2}'),
        ended(Reason.TOOL_CALLS),
    ]
    pieces = [(0, '{"x'), (0, '":1}'), (1, '{"y'), (1, '":2}'), (2, "So.")]
    assert deltas(whole) == pieces
    calls = [block for block in accumulated(read(whole)).content if block.type == "tool_use"]
    assert [(call.id, call.input) for call in calls] == [("a", {"x": 1}), ("b", {"y": 2})]


def test_items_behind_an_incomplete_call_come_at_the_end() -> None:
    journal: list[AnyEvent] = [STARTED, ToolCallDelta(0, "a", "f", "{"), Text("So.")]
    assert [e.delta.partial_json for e in read_all(journal) if hasattr(e, "delta")] == ["{"]
    assert deltas([*journal, ended(Reason.LENGTH)]) == [(0, "{"), (1, "So.")]


def test_arguments_of_only_braces_stay_within_the_parse_budget() -> None:
    pieces = ['{"a":"', *["}"] * 30_000]
    journal: list[AnyEvent] = [
        *(STARTED, ToolCallDelta(0, "a", "f", ""), Text("So.")),
        *(ToolCallDelta(0, None, None, piece) for piece in pieces),
    ]
    begun = time.process_time()
    shown = render(journal)
    assert time.process_time() - begun < 1
    assert shown.count(b"event: content_block_delta") == len(pieces)


WAITING = 1_500


def waiting() -> list[AnyEvent]:
    """Return calls and texts that all wait until the end, except the first."""
    many = (
        event
        for index in range(1, WAITING)
        for event in (ToolCallDelta(index, f"c{index}", "g", '{"x":1}'), Text(f"{index}."))
    )
    return [STARTED, ToolCallDelta(0, "a", "f", "{"), *many]


def test_waiting_items_are_released_in_steps() -> None:
    dialect = Messages({})
    parts = [dialect.render(waiting()), dialect.render([ended(Reason.TOOL_CALLS)])]
    while dialect.pending:
        parts.append(dialect.render([]))
    assert max(map(len, parts)) < 150_000
    assert dialect.render([]) == b""
    events = [read_event(frame) for frame in frames_of(b"".join(parts))]
    check_grammar(events)
    deltas = [e.delta for e in events if e.type == "content_block_delta"]
    assert [d.text for d in deltas if d.type == "text_delta"] == [
        f"{n}." for n in range(1, WAITING)
    ]


@pytest.mark.parametrize("cuts", [[], [3, 2000], [2 * WAITING - 1, 2 * WAITING]])
def test_waiting_items_give_the_same_frames_in_any_batches(cuts: list[int]) -> None:
    whole = [*waiting(), ToolCallDelta(0, None, None, "}"), *[Text("x")] * 9, ended()]
    assert in_batches(whole, cuts, None) == in_batches(whole, [7], None)


def test_call_without_an_id_gets_one() -> None:
    journal: list[AnyEvent] = [STARTED, ToolCallDelta(0, None, "f", "{}"), ended()]
    (start,) = [e for e in read(journal) if e.type == "content_block_start"]
    assert start.content_block.id


def test_empty_pieces_begin_no_block() -> None:
    journal: list[AnyEvent] = [STARTED, Text(""), events.Reasoning(""), ended()]
    assert [event.type for event in read(journal)] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]


def test_warning_and_route_change_are_one_line_comments() -> None:
    journal: list[AnyEvent] = [
        STARTED,
        events.RouteChanged("spare", "spare-model", "refused"),
        events.Warning("code", "two\nlines\r\nand more"),
        Text("a"),
        ended(),
    ]
    assert comments_of(render(journal)) == [
        "route spare/spare-model refused",
        "warning code two lines and more",
    ]
    assert read(journal)[0].message.model == "large"


@pytest.mark.parametrize("reason", sorted(STOP_REASONS))
@pytest.mark.parametrize("content", [[], [Text("a")]])
def test_end_with_a_stop_reason_is_message_stop(reason: Reason, content: list[AnyEvent]) -> None:
    *_, delta, _ = read([STARTED, *content, ended(reason)])
    assert delta.delta.stop_reason == STOP_REASONS[reason]
    assert delta.delta.stop_sequence is None
    assert (delta.delta.stop_details is not None) is (STOP_REASONS[reason] == "refusal")


@pytest.mark.parametrize("reason", ERRORS)
@pytest.mark.parametrize("content", [[], [Text("a")], [ToolCallDelta(0, "a", "f", '{"x')]])
def test_any_other_end_is_one_error_and_never_a_stop(
    reason: Reason, content: list[AnyEvent]
) -> None:
    found = read([STARTED, *content, ended(reason)])
    assert found[-1].type == "error"
    assert found[-1].error.message
    assert not {"message_delta", "message_stop"} & {event.type for event in found}
    assert (len(found) > 1) is bool(content)


def test_error_is_that_of_the_turn_with_its_code() -> None:
    info = ErrorInfo(status=502, message="overloaded", type="upstream_error", code="busy")
    (error,) = frames_of(render([STARTED, ended(Reason.UPSTREAM_ERROR, error=info)]))
    assert json.loads(error.data) == {
        "type": "error",
        "error": {"type": "api_error", "message": "overloaded (busy)"},
    }


def test_code_in_the_message_is_not_repeated() -> None:
    info = ErrorInfo(status=502, message="It is busy.", code="busy")
    (error,) = read([STARTED, ended(Reason.UPSTREAM_ERROR, error=info)])
    assert error.error.message == "It is busy."


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (405, "invalid_request_error"),
        (408, "timeout_error"),
        (409, "invalid_request_error"),
        (413, "request_too_large"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (499, "invalid_request_error"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_error_type_depends_on_the_status(status: int, kind: str) -> None:
    assert error_type(status) == kind


def test_restart_after_content_ends_in_an_error() -> None:
    found = read([STARTED, Text("a"), events.Retry("cut"), Text("b"), ended()])
    assert [event.type for event in found][-2:] == ["content_block_delta", "error"]
    assert "answer_replaced" in found[-1].error.message


@pytest.mark.parametrize("start", [[events.Retry("cut"), Text("b")], [events.Replace("b", "x")]])
def test_restart_before_content_is_invisible(start: list[AnyEvent]) -> None:
    found = read([STARTED, *start, ended()])
    assert found[-1].type == "message_stop"
    text = "".join(e.delta.text for e in found if e.type == "content_block_delta")
    assert text == "b"


def test_id_prefix_is_that_of_the_dialect() -> None:
    assert message_id("turn_abc") == "msg_abc"


journals = st.builds(
    lambda answer, end: [STARTED, *answer, end],
    st.lists(answer_events | st.builds(events.Retry, st.just("cut")), max_size=12),
    ends,
)
"""Complete turns of one epoch."""


def in_batches(journal: list[AnyEvent], cuts: list[int], after: str | None) -> bytes:
    dialect = Messages({}, parse_cursor(after, NAME) if after is not None else START)
    frames = b"".join(dialect.render(batch) for batch in cut_at(journal, cuts))
    while dialect.pending:
        frames += dialect.render([])
    return frames


@given(recovered_journals, cuts, cuts)
def test_resume_after_any_frame_gives_the_rest(
    journal: list[AnyEvent], cuts: list[int], other_cuts: list[int]
) -> None:
    whole = frames_of(render(journal))
    assert frames_of(in_batches(journal, cuts, None)) == whole
    for k, frame in enumerate(whole, 1):
        assert frames_of(in_batches(journal, other_cuts, frame.id)) == whole[k:]


@given(st.lists(answer_events, max_size=8), st.integers(0, 8), st.integers(0, 99))
def test_frames_lost_in_a_crash_differ_from_those_after_it(
    content: list[AnyEvent], kept: int, seen: int
) -> None:
    """The client saw more than was journalled, and resumes after the recovery."""

    def rendered(journal: list[AnyEvent], after: str | None) -> list[Frame]:
        return frames_of(render(journal, after=after))

    check_after_a_crash(rendered, content, kept, seen)


@settings(max_examples=examples(200))
@given(journals)
def test_every_event_parses_with_the_sdk_types_in_a_valid_order(journal: list[AnyEvent]) -> None:
    found = read(journal)
    end = journal[-1]
    assert isinstance(end, Ended)
    assert found[-1].type == ("message_stop" if end.reason in STOP_REASONS else "error") or (
        any(isinstance(event, events.Retry | events.Replace) for event in journal)
    )


@given(st.lists(answer_events, max_size=12))
def test_all_text_and_thinking_is_shown(content: list[AnyEvent]) -> None:
    content = [event for event in content if not isinstance(event, events.Replace)]
    message = accumulated([e for e in read([STARTED, *content, ended()]) if not _is_arguments(e)])
    texts = "".join(e.delta for e in content if isinstance(e, Text | events.Refusal))
    thoughts = "".join(e.delta for e in content if isinstance(e, events.Reasoning))
    assert "".join(b.text for b in message.content if b.type == "text") == texts
    assert "".join(b.thinking for b in message.content if b.type == "thinking") == thoughts


def _is_arguments(event: Any) -> bool:
    """Return whether this is a delta of arguments; the SDK raises for random ones."""
    return bool(event.type == "content_block_delta" and event.delta.type == "input_json_delta")


@given(short_text, short_text)
def test_fast_path_renders_text_like_the_general_one(first: str, text: str) -> None:
    """The first text takes the general path, all others take the fast path."""
    found = deltas([STARTED, events.Refusal("!"), Text(first), Text(text), ended()])
    assert "".join(text for _, text in found) == "!" + first + text
    assert all(text for _, text in found)


@given(journals, cuts, st.lists(st.integers(0, 4000), max_size=10))
def test_pings_anywhere_do_not_change_the_events(
    journal: list[AnyEvent], cuts: list[int], splits: list[int]
) -> None:
    dialect = Messages({})
    stream = dialect.heartbeat
    for batch in cut_at(journal, cuts):
        stream += dialect.render(batch) + dialect.comment("stored spooled") + PING
    parts = [bytes(part) for part in cut_at(stream, splits)]
    seen = sdk_events(parts)
    assert [event for event in seen if event[0] != "ping"] == [
        (frame.event, frame.data) for frame in frames_of(stream)
    ]
    assert [data for name, data in seen if name == "ping"] == ['{"type":"ping"}'] * (
        len(seen) - len(frames_of(stream))
    )


CALL = ToolCallDelta(0, "call_a", "f", "{")
STATE = events.ReasoningState("gemini", '{"thoughtSignature":"s"}')


@pytest.mark.parametrize(
    ("content", "kinds"),
    [
        ([Text("a"), STATE], ["text"]),
        ([Text("a"), STATE, STATE], ["text"]),
        ([Text("a"), STATE, Text("b")], ["text", "redacted_thinking", "text"]),
        ([Text("a"), STATE, CALL], ["text", "redacted_thinking", "tool_use"]),
        ([CALL, STATE], ["tool_use", "redacted_thinking"]),
        ([CALL, Text("a"), STATE], ["tool_use", "text"]),
        ([STATE], ["redacted_thinking"]),
    ],
)
def test_state_behind_the_last_text_is_withheld(content: list[AnyEvent], kinds: list[str]) -> None:
    """Some clients take the last block for the answer."""
    journal: list[AnyEvent] = [STARTED, *content, ended()]
    started = [event for event in read(journal) if event.type == "content_block_start"]
    assert [event.content_block.type for event in started] == kinds
    whole = json.loads(json.dumps(message(journal)))
    assert [block["type"] for block in whole["content"]] == kinds
