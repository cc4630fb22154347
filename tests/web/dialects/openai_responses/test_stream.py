"""Tests of the Responses stream: its bytes, event order and ends, and resuming after any frame."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec import structs

from actors.turn import events
from actors.turn.events import AnyEvent, Reasoning, Refusal, Text, ToolCall, ToolCallDelta
from actors.turn.outcome import ErrorInfo, Reason
from tests.support.chat_readers import comments_of
from tests.support.dialect_journals import check_after_a_crash, cuts, ends, recovered_journals
from tests.support.messages_readers import Frame, frames_of, sdk_events
from tests.support.responses_readers import read_event, read_stream, sdk_final_response
from tests.support.sample_events import STARTED, answer_events, cut_at, ended, short_text
from tests.support.sizes import examples
from tests.web.dialects.openai_responses.test_response import ENDS, shown
from web.dialects.frames import PING, START, data_of, parse_cursor
from web.dialects.openai_responses.stream import NAME, Responses

ECHO = {"echo": {"instructions": "Be brief.", "temperature": 0.5, "metadata": {"a": "b"}}}
LOGPROBS = (
    '{"content":[{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":['
    '{"token":"b","logprob":-1.5,"bytes":null}]}],"refusal":null}'
)


def render(
    journal: Sequence[AnyEvent],
    *,
    options: Mapping[str, object] | None = None,
    after: str | None = None,
) -> bytes:
    cursor = parse_cursor(after, NAME) if after is not None else START
    return Responses(options or {}, cursor).render(list(journal))


def read(journal: Sequence[AnyEvent]) -> list[dict[str, Any]]:
    return read_stream(render(journal))


def between(journal: Sequence[AnyEvent]) -> list[dict[str, Any]]:
    """Return the events between the first two and the last, without their numbers."""
    found = read(journal)[2:-1]
    return [{k: v for k, v in event.items() if k != "sequence_number"} for event in found]


def names(journal: Sequence[AnyEvent]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in read(journal)]


def output(journal: Sequence[AnyEvent]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = read(journal)[-1]["response"]["output"]
    return items


def begun(index: int = 0, id: str = "call_a", name: str = "f") -> ToolCallDelta:
    return ToolCallDelta(index, id, name, "")


def more(arguments: str, index: int = 0) -> ToolCallDelta:
    return ToolCallDelta(index, None, None, arguments)


def test_stream_matches_the_golden_sample() -> None:
    _created, _in_progress, *found, _completed = frames_of(
        render([STARTED, Text("Hel"), Text("lo"), ended()])
    )
    place = b'"item_id":"msg_1_0","output_index":0,"content_index":0'
    whole = b'{"type":"output_text","text":"Hello","annotations":[],"logprobs":[]}'
    expected = (
        b"id: openai-responses:2\nevent: response.output_item.added\n"
        b'data: {"type":"response.output_item.added","sequence_number":2,"output_index":0,'
        b'"item":{"id":"msg_1_0","type":"message","status":"in_progress","role":"assistant",'
        b'"content":[]}}\n\n'
        b"id: openai-responses:3\nevent: response.content_part.added\n"
        b'data: {"type":"response.content_part.added","sequence_number":3,' + place + b","
        b'"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]}}\n\n'
        b"id: openai-responses:4\nevent: response.output_text.delta\n"
        b'data: {"type":"response.output_text.delta","sequence_number":4,' + place + b","
        b'"delta":"Hel","logprobs":[]}\n\n'
        b"id: openai-responses:5\nevent: response.output_text.delta\n"
        b'data: {"type":"response.output_text.delta","sequence_number":5,' + place + b","
        b'"delta":"lo","logprobs":[]}\n\n'
        b"id: openai-responses:6\nevent: response.output_text.done\n"
        b'data: {"type":"response.output_text.done","sequence_number":6,' + place + b","
        b'"text":"Hello","logprobs":[]}\n\n'
        b"id: openai-responses:7\nevent: response.content_part.done\n"
        b'data: {"type":"response.content_part.done","sequence_number":7,' + place + b","
        b'"part":' + whole + b"}\n\n"
        b"id: openai-responses:8\nevent: response.output_item.done\n"
        b'data: {"type":"response.output_item.done","sequence_number":8,"output_index":0,'
        b'"item":{"id":"msg_1_0","type":"message","status":"completed","role":"assistant",'
        b'"content":[' + whole + b"]}}\n"
    )
    assert b"\n".join(frame.raw for frame in found) == expected


def test_stream_begins_and_ends_with_the_object() -> None:
    journal: list[AnyEvent] = [STARTED, Text("a"), ended()]
    frames = frames_of(render(journal, options=ECHO))
    first, second, last = (json.loads(frames[at].data) for at in (0, 1, -1))
    assert first["response"] == second["response"] == shown([STARTED], ECHO)
    assert last["type"] == "response.completed"
    assert last["response"] == shown(journal, ECHO)
    assert [event["response"]["instructions"] for event in (first, last)] == ["Be brief."] * 2


def test_empty_answer_has_no_items() -> None:
    assert names([STARTED, ended()]) == ["created", "in_progress", "completed"]


def test_text_before_and_after_a_call_are_two_messages() -> None:
    whole = ToolCall(0, "call_a", "f", "{}")
    journal: list[AnyEvent] = [STARTED, Text("a"), begun(), more("{}"), Text("b"), whole, ended()]
    made = [(item["id"], item["type"]) for item in output(journal)]
    assert made == [
        ("msg_1_0", "message"),
        ("fc_1_1", "function_call"),
        ("msg_1_2", "message"),
    ]
    assert names(journal)[2:-1] == [
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "function_call_arguments.done",
        "output_item.done",
        "output_text.done",
        "content_part.done",
        "output_item.done",
    ]


def test_parallel_calls_differ_in_their_index() -> None:
    journal: list[AnyEvent] = [
        STARTED,
        begun(0, "call_a", "f"),
        begun(1, "call_b", "g"),
        more("1", 1),
        more("0", 0),
        more("1", 1),
        ToolCall(0, "call_a", "f", "0"),
        ToolCall(1, "call_b", "g", "11"),
        ended(Reason.TOOL_CALLS),
    ]
    deltas = [event for event in between(journal) if event["type"].endswith(".delta")]
    assert [(event["item_id"], event["output_index"], event["delta"]) for event in deltas] == [
        ("fc_1_1", 1, "1"),
        ("fc_1_0", 0, "0"),
        ("fc_1_1", 1, "1"),
    ]
    assert output(journal) == [
        {
            "id": "fc_1_0",
            "type": "function_call",
            "status": "completed",
            "call_id": "call_a",
            "name": "f",
            "arguments": "0",
        },
        {
            "id": "fc_1_1",
            "type": "function_call",
            "status": "completed",
            "call_id": "call_b",
            "name": "g",
            "arguments": "11",
        },
    ]


def test_reasoning_is_a_one_part_summary_that_ends_before_the_text() -> None:
    found = between([STARTED, Reasoning("h"), Reasoning("m"), Text("a"), ended()])
    place = {"item_id": "rs_1_0", "output_index": 0, "summary_index": 0}
    part = {"type": "summary_text", "text": "hm"}
    item = {"id": "rs_1_0", "type": "reasoning", "status": "completed", "summary": [part]}
    assert found[:7] == [
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**item, "status": "in_progress", "summary": []},
        },
        {
            "type": "response.reasoning_summary_part.added",
            **place,
            "part": {"type": "summary_text", "text": ""},
        },
        {"type": "response.reasoning_summary_text.delta", **place, "delta": "h"},
        {"type": "response.reasoning_summary_text.delta", **place, "delta": "m"},
        {"type": "response.reasoning_summary_text.done", **place, "text": "hm"},
        {"type": "response.reasoning_summary_part.done", **place, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
    ]
    assert found[7]["item"]["id"] == "msg_1_1"


def test_interrupted_reasoning_is_incomplete() -> None:
    *_, part, item = between([STARTED, Reasoning("hm"), ended(Reason.LENGTH)])
    assert part["status"] == item["item"]["status"] == "incomplete"


def test_refusal_is_another_part_of_the_message() -> None:
    journal: list[AnyEvent] = [STARTED, Text("a"), Refusal("n"), Refusal("o"), ended()]
    found = [event for event in between(journal) if event["type"].startswith("response.refusal")]
    place = {"item_id": "msg_1_0", "output_index": 0, "content_index": 1}
    assert found == [
        {"type": "response.refusal.delta", **place, "delta": "n"},
        {"type": "response.refusal.delta", **place, "delta": "o"},
        {"type": "response.refusal.done", **place, "refusal": "no"},
    ]
    (message,) = output(journal)
    assert message["content"][1] == {"type": "refusal", "refusal": "no"}


@pytest.mark.parametrize("before", [[], [Text("-")]])
def test_logprobs_have_the_form_of_deltas_and_of_parts(before: list[AnyEvent]) -> None:
    journal: list[AnyEvent] = [
        STARTED,
        *before,
        Text("a", LOGPROBS),
        Text("b"),
        Text("a", LOGPROBS),
        ended(),
    ]
    token = {"token": "a", "logprob": -0.5, "top_logprobs": [{"token": "b", "logprob": -1.5}]}
    found = [event["logprobs"] for event in between(journal) if "logprobs" in event]
    assert found == [*[[] for _ in before], [token], [], [token], [token, token]]
    (message,) = output(journal)
    assert (
        message["content"][0]["logprobs"]
        == [
            {
                "token": "a",
                "bytes": [97],
                "logprob": -0.5,
                "top_logprobs": [{"token": "b", "bytes": [98], "logprob": -1.5}],
            }
        ]
        * 2
    )


def test_logprobs_belong_to_their_own_text() -> None:
    journal: list[AnyEvent] = [STARTED, Text("a", LOGPROBS), begun(), Text("b"), ended()]
    parts = [item["content"][0] for item in output(journal) if item["type"] == "message"]
    assert [len(part["logprobs"]) for part in parts] == [1, 0]


@pytest.mark.parametrize("reason", Reason)
def test_every_end_has_its_last_event(reason: Reason) -> None:
    journal: list[AnyEvent] = [STARTED, Text("a"), ended(reason)]
    last = read(journal)[-1]
    status, _, name = ENDS[reason]
    assert last["type"] == f"response.{name}"
    assert last["response"]["status"] == status
    assert last["response"] == shown(journal)
    (message,) = last["response"]["output"]
    assert message["status"] == ("completed" if status == "completed" else "incomplete")


def test_error_is_that_of_the_turn() -> None:
    info = ErrorInfo(status=502, message="overloaded", type="upstream_error", code="busy")
    last = read([STARTED, ended(Reason.UPSTREAM_ERROR, error=info)])[-1]
    assert last["response"]["error"] == {
        "code": "server_error",
        "message": "overloaded (busy)",
        "param": None,
        "type": "upstream_error",
    }


def test_route_change_is_a_comment_and_changes_the_model() -> None:
    spare = events.RouteChanged("spare", "spare-model", "refused")
    stream = render([STARTED, spare, Text("a"), ended()])
    assert comments_of(stream) == ["route spare/spare-model after refused"]
    found = read_stream(stream)
    assert found[0]["response"]["model"] == "main-model"
    assert found[-1]["response"]["model"] == "main-model", "the end knows who answered"
    lost = read([STARTED, spare, structs.replace(ended(), upstream_model=None)])
    assert lost[-1]["response"]["model"] == "spare-model"


def test_warning_is_a_one_line_comment() -> None:
    stream = render([STARTED, events.Warning("code", "two\nlines"), ended()])
    assert comments_of(stream) == ["warning code two lines"]
    assert len(frames_of(stream)) == 3
    last = json.loads(data_of(stream)[-1])["response"]
    assert last["warnings"] == [{"code": "code", "message": "two\nlines"}]


@pytest.mark.parametrize(
    ("seen", "unseen"),
    [
        ([Text("bad")], [events.Retry("guard"), Text("good")]),
        ([Reasoning("bad")], [events.Retry("guard"), Reasoning("good"), Text("good")]),
        ([begun(), more("bad")], [events.Retry("guard"), begun(), more("good")]),
    ],
)
@pytest.mark.parametrize("reason", [Reason.STOP, Reason.LENGTH, Reason.CANCEL_REQUESTED])
def test_restart_after_content_ends_in_a_failure(
    seen: list[AnyEvent], unseen: list[AnyEvent], reason: Reason
) -> None:
    found = read([STARTED, *seen, *unseen, ended(reason)])
    assert [event["delta"] for event in found if "delta" in event] == ["bad"]
    response = found[-1]["response"]
    assert (found[-1]["type"], response["status"]) == ("response.failed", "failed")
    assert response["error"]["message"].endswith("(answer_replaced)")
    assert [item["status"] for item in response["output"]] == ["incomplete"]
    assert "good" not in json.dumps(found)


@pytest.mark.parametrize(
    "answer",
    [
        [events.Retry("guard"), Text("good")],
        [events.Replace("good", "guard")],
        [Reasoning("hm"), events.Replace("good", "guard")],
        [ToolCallDelta(0, None, None, "{"), events.Retry("guard"), Text("good")],
    ],
)
def test_content_that_was_not_shown_can_be_discarded(answer: list[AnyEvent]) -> None:
    journal: list[AnyEvent] = [STARTED, *answer, ended()]
    last = read(journal)[-1]
    assert last["type"] == "response.completed"
    assert last["response"] == shown(journal)
    assert last["response"]["output"][-1]["content"][0]["text"] == "good"


def test_numbers_continue_after_a_recovery_with_a_new_epoch() -> None:
    journal: list[AnyEvent] = [
        STARTED,
        Text("a"),
        Reasoning("b"),
        events.Recovered(1),
        ended(Reason.OWNER_LOST),
    ]
    stream = render(journal)
    found = read_stream(stream)
    assert found[-1]["type"] == "response.failed"
    ids = [frame.id for frame in frames_of(stream)]
    lost = ids.index("openai-responses:11@1")
    assert ids[lost - 1] == "openai-responses:10"
    assert all(id.endswith("@1") for id in ids[lost:])
    assert comments_of(stream) == ["recovered, the tail of this answer was lost"]


@pytest.mark.parametrize("piece", [Text("b"), Reasoning("b"), Refusal("b"), more("b")])
def test_open_part_continues_in_the_new_epoch_after_a_recovery(piece: AnyEvent) -> None:
    journal: list[AnyEvent] = [STARTED, begun(), piece, events.Recovered(2), piece, ended()]
    read(journal)
    deltas = [f for f in frames_of(render(journal)) if f.event.endswith(".delta")]
    assert [frame.id.partition("@")[2] for frame in deltas] == ["", "2"]


def test_percent_sign_in_an_id_is_escaped() -> None:
    started = structs.replace(STARTED, turn_id="turn_%d%b")
    found = read([started, Text("a"), Text("50%d"), ended()])
    assert {event["item_id"] for event in found if "item_id" in event} == {"msg_%d%b_0"}


def test_data_of_frames_equals_the_events() -> None:
    stream = PING + render([STARTED, events.Warning("w", "x"), Text("data: a\n"), ended()])
    assert [json.loads(data) for data in data_of(stream)] == read_stream(stream)


token_texts = st.builds(Text, short_text, st.sampled_from([LOGPROBS, "null", "{}", "["]))
answers = st.lists(
    answer_events | token_texts | st.just(events.Retry("guard")) | st.just(events.Blocked("bad")),
    max_size=10,
)
journals = st.builds(lambda answer, end: [STARTED, *answer, end], answers, ends)
"""Complete turns of one epoch."""


options = st.sampled_from([{}, ECHO, {"include_usage": True}, {"echo": None}])


@settings(max_examples=examples(50))
@given(journals | recovered_journals, options)
def test_every_stream_is_valid(journal: list[AnyEvent], options: dict[str, object]) -> None:
    found = read_stream(render(journal, options=options))
    discarded = "(answer_replaced)" in json.dumps(found[-1]["response"]["error"])
    if not discarded:
        named = [
            {"code": one.code, "message": one.message}
            for one in journal
            if isinstance(one, events.Warning)
        ]
        expected = shown(journal, options) | ({"warnings": named} if named else {})
        assert found[-1]["response"] == expected


@settings(max_examples=examples(50))
@given(journals | recovered_journals)
def test_sdk_stream_helper_accepts_every_stream(journal: list[AnyEvent]) -> None:
    items = [one.item for one in journal if isinstance(one, events.NativeItem)]
    assume(len(items) == len({*items}))  # the decoder drops an item that comes again
    stream = render(journal)
    last = read_event(frames_of(stream)[-1])
    completed = sdk_final_response(stream)
    assert (completed is not None) == (last.type == "response.completed")
    if completed is not None:
        assert completed.output_text == last.response.output_text


def in_batches(journal: list[AnyEvent], cuts: list[int], after: str | None) -> bytes:
    cursor = parse_cursor(after, NAME) if after is not None else START
    dialect = Responses(ECHO, cursor)
    return b"".join(dialect.render(batch) for batch in cut_at(journal, cuts))


@given(journals | recovered_journals, cuts, cuts)
def test_resume_after_any_frame_gives_the_rest(
    journal: list[AnyEvent], cuts: list[int], other_cuts: list[int]
) -> None:
    whole = frames_of(render(journal, options=ECHO))
    assert frames_of(in_batches(journal, cuts, None)) == whole
    for k, frame in enumerate(whole, 1):
        resumed = frames_of(in_batches(journal, other_cuts, frame.id))
        assert resumed == whole[k:]


@given(journals, cuts)
def test_starting_after_equals_last_event_id(journal: list[AnyEvent], cuts: list[int]) -> None:
    whole = frames_of(render(journal, options=ECHO))
    for k, frame in enumerate(whole, 1):
        number = json.loads(frame.data)["sequence_number"]
        assert frames_of(in_batches(journal, cuts, str(number))) == whole[k:]


@given(st.lists(answer_events, max_size=8), st.integers(0, 8), st.integers(0, 99))
def test_frames_lost_in_a_crash_differ_from_those_after_it(
    content: list[AnyEvent], kept: int, seen: int
) -> None:
    """The client saw more than was journalled, and resumes after the recovery."""

    def rendered(journal: list[AnyEvent], after: str | None) -> list[Frame]:
        return frames_of(render(journal, after=after))

    assert rendered([STARTED], None), "the first frames are rendered at once"
    check_after_a_crash(rendered, content, kept, seen)


@given(journals, cuts, st.lists(st.integers(0, 2000), max_size=10))
def test_heartbeats_anywhere_make_no_event(
    journal: list[AnyEvent], cuts: list[int], splits: list[int]
) -> None:
    dialect = Responses({})
    stream = PING
    for batch in cut_at(journal, cuts):
        stream += dialect.render(batch) + PING
    parts = [bytes(part) for part in cut_at(stream, splits)]
    frames = frames_of(stream)
    events = [(frame.event, frame.data) for frame in frames]
    assert sdk_events(parts) == [*events, (None, "[DONE]")]


def test_end_of_the_stream_has_no_number_and_is_not_sent_again() -> None:
    journal: list[AnyEvent] = [STARTED, Text("a"), ended()]
    stream = render(journal)
    last = frames_of(stream)[-1]
    assert stream.endswith(last.raw + b"\ndata: [DONE]\n\n")
    assert render(journal, after=last.id) == b""


def test_failure_is_an_error_event_for_sdks_and_for_readers_of_the_reference() -> None:
    info = ErrorInfo(status=400, message="Too long.", code="context_length_exceeded", param="input")
    stream = render([STARTED, Text("a"), ended(Reason.UPSTREAM_REJECTED, error=info)])
    error, failed = (json.loads(frame.data) for frame in frames_of(stream)[-2:])
    assert failed["type"] == "response.failed"
    assert failed["response"]["error"] == error["error"]
    expected = ("error", "context_length_exceeded", "Too long.", "input")
    assert tuple(error[name] for name in ("type", "code", "message", "param")) == expected


def test_cancelled_response_has_no_error_event() -> None:
    assert "error" not in names([STARTED, Text("a"), ended(Reason.CANCEL_REQUESTED)])


@pytest.mark.parametrize(
    ("content", "much"),
    [
        ([Text("a")] * 1000, False),
        ([Text("a" * 300_000)], True),
        ([Text("a" * 1000)] * 300, True),
        ([Reasoning("a" * 300_000), Text("a")], True),
        ([Text("a", "x" * 300_000)], True),
        ([Text("a", "x" * 300_000), Reasoning("b")], True),
    ],
)
def test_repeats_much_is_known_before_the_end(content: list[AnyEvent], much: bool) -> None:
    rendering = Responses({})
    assert not rendering.repeats_much
    for event in [STARTED, *content]:
        rendering.render([event])
    assert rendering.repeats_much is much
