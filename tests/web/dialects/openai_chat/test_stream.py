"""Tests of the Chat Completions stream: its bytes and ends, and resuming after every frame."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.turn import events
from actors.turn.events import AnyEvent, Text
from actors.turn.outcome import ErrorInfo, Reason
from tests.support.chat_readers import Frame, comments_of, frames_of, read_chunk, sdk_events
from tests.support.dialect_journals import check_after_a_crash, cuts, ends, recovered_journals
from tests.support.sample_events import STARTED, answer_events, cut_at, ended, short_text
from tests.support.sizes import examples
from web.dialects.frames import PING as HEARTBEAT
from web.dialects.frames import START, parse_cursor
from web.dialects.openai_chat.stream import FINISH_REASONS, NAME, OpenAIChat, completion_id

WITH_USAGE = {"include_usage": True}
HEAD = (
    b'{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,'
    b'"model":"main-model","choices":'
)


def render(journal: list[AnyEvent], *, usage: bool = False, after: str | None = None) -> bytes:
    cursor = parse_cursor(after, NAME) if after is not None else START
    return OpenAIChat({"include_usage": usage}, cursor).render(journal)


def datas(journal: list[AnyEvent], *, usage: bool = False) -> list[str]:
    return [frame.data for frame in frames_of(render(journal, usage=usage))]


def test_stream_matches_the_golden_sample() -> None:
    assert render([STARTED, Text("Hel"), Text("lo"), ended()]) == (
        b"id: openai-chat:0\ndata: " + HEAD + b'[{"index":0,"delta":{"role":"assistant",'
        b'"content":""},"finish_reason":null}]}\n\n'
        b"id: openai-chat:1\ndata: " + HEAD + b'[{"index":0,"delta":{"content":"Hel"},'
        b'"finish_reason":null}]}\n\n'
        b"id: openai-chat:2\ndata: " + HEAD + b'[{"index":0,"delta":{"content":"lo"},'
        b'"finish_reason":null}]}\n\n'
        b"id: openai-chat:3\ndata: " + HEAD + b'[{"index":0,"delta":{},'
        b'"finish_reason":"stop"}]}\n\n'
        b"id: openai-chat:4\ndata: [DONE]\n\n"
    )


def test_stream_with_usage_matches_the_golden_sample() -> None:
    assert render([STARTED, Text("Hi"), ended()], usage=True) == (
        b"id: openai-chat:0\ndata: " + HEAD + b'[{"index":0,"delta":{"role":"assistant",'
        b'"content":""},"finish_reason":null}],"usage":null}\n\n'
        b"id: openai-chat:1\ndata: " + HEAD + b'[{"index":0,"delta":{"content":"Hi"},'
        b'"finish_reason":null}],"usage":null}\n\n'
        b"id: openai-chat:2\ndata: " + HEAD + b'[{"index":0,"delta":{},'
        b'"finish_reason":"stop"}],"usage":null}\n\n'
        b"id: openai-chat:3\ndata: " + HEAD + b'[],"usage":{"prompt_tokens":7,'
        b'"completion_tokens":3,"total_tokens":10,"prompt_tokens_details":{"cached_tokens":2,'
        b'"cache_write_tokens":1},'
        b'"completion_tokens_details":{"reasoning_tokens":1}}}\n\n'
        b"id: openai-chat:4\ndata: [DONE]\n\n"
    )


def test_tool_call_is_sent_only_in_pieces() -> None:
    journal: list[AnyEvent] = [
        STARTED,
        events.ToolCallDelta(0, "call_1", "f", ""),
        events.ToolCallDelta(0, None, None, '{"a":1}'),
        events.ToolCall(0, "call_1", "f", '{"a":1}'),
        ended(Reason.TOOL_CALLS),
    ]
    deltas = [json.loads(data)["choices"][0]["delta"] for data in datas(journal)[:-1]]
    assert deltas == [
        {"role": "assistant", "content": ""},
        {
            "tool_calls": [
                {
                    "index": 0,
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "f", "arguments": ""},
                }
            ]
        },
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":1}'}}]},
        {},
    ]


def test_reasoning_and_refusal_have_their_own_fields() -> None:
    journal: list[AnyEvent] = [STARTED, events.Reasoning("hm"), events.Refusal("no"), ended()]
    deltas = [json.loads(data)["choices"][0]["delta"] for data in datas(journal)[1:3]]
    assert deltas == [{"reasoning_content": "hm"}, {"refusal": "no"}]


@pytest.mark.parametrize("before", [[], [Text("a")]])
def test_logprobs_are_passed_on_unchanged(before: list[AnyEvent]) -> None:
    given = '{"content":[{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[]}]}'
    journal = [STARTED, *before, Text("a", given), ended()]
    chunk = read_chunk(datas(journal)[1 + len(before)])
    assert chunk.choices[0].logprobs is not None
    assert f'"logprobs":{given}' in datas(journal)[1 + len(before)]


def test_route_change_changes_the_model_of_later_frames() -> None:
    journal: list[AnyEvent] = [
        STARTED,
        events.RouteChanged("spare", "spare-model", "refused"),
        Text("a"),
        ended(),
    ]
    assert {json.loads(data)["model"] for data in datas(journal)[:-1]} == {"spare-model"}


def test_warning_is_a_one_line_comment() -> None:
    journal: list[AnyEvent] = [STARTED, events.Warning("code", "two\nlines\r\nand more"), ended()]
    assert comments_of(render(journal)) == ["warning code two lines and more"]
    assert len(frames_of(render(journal))) == 3


def test_finish_without_content_still_has_a_role() -> None:
    first, *_ = datas([STARTED, ended()])
    assert read_chunk(first).choices[0].delta.role == "assistant"


@pytest.mark.parametrize("reason", sorted(FINISH_REASONS))
def test_end_with_a_finish_reason_is_done(reason: Reason) -> None:
    *_, last, done = datas([STARTED, Text("a"), ended(reason)])
    assert read_chunk(last).choices[0].finish_reason == FINISH_REASONS[reason]
    assert done == "[DONE]"


@pytest.mark.parametrize("reason", sorted(set(Reason) - set(FINISH_REASONS)))
def test_any_other_end_is_one_error_and_never_done(reason: Reason) -> None:
    *_, last = datas([STARTED, Text("a"), ended(reason)], usage=True)
    error = json.loads(last)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert "[DONE]" not in datas([STARTED, Text("a"), ended(reason)])


def test_error_is_that_of_the_turn() -> None:
    info = ErrorInfo(status=502, message="overloaded", type="upstream_error", code="busy")
    *_, last = datas([STARTED, ended(Reason.UPSTREAM_ERROR, error=info)])
    assert json.loads(last) == {
        "error": {"message": "overloaded", "type": "upstream_error", "param": None, "code": "busy"}
    }


def test_unknown_usage_is_omitted() -> None:
    journal: list[AnyEvent] = [STARTED, ended(usage=None)]
    assert [json.loads(data)["choices"] != [] for data in datas(journal, usage=True)[:-1]] == [
        True,
        True,
    ]


def test_id_prefix_is_that_of_the_dialect() -> None:
    assert completion_id("turn_abc") == "chatcmpl-abc"


journals = st.builds(
    lambda answer, end: [STARTED, *answer, end], st.lists(answer_events, max_size=10), ends
)
"""Complete turns of one epoch."""


def in_batches(journal: list[AnyEvent], cuts: list[int], usage: bool, after: str | None) -> bytes:
    dialect = OpenAIChat(
        {"include_usage": usage}, parse_cursor(after, NAME) if after is not None else START
    )
    return b"".join(dialect.render(batch) for batch in cut_at(journal, cuts))


@given(recovered_journals, cuts, cuts, st.booleans())
def test_resume_after_any_frame_gives_the_rest(
    journal: list[AnyEvent], cuts: list[int], other_cuts: list[int], usage: bool
) -> None:
    whole = frames_of(render(journal, usage=usage))
    assert frames_of(in_batches(journal, cuts, usage, None)) == whole
    for k, frame in enumerate(whole, 1):
        resumed = frames_of(in_batches(journal, other_cuts, usage, frame.id))
        assert resumed == whole[k:]


@given(st.lists(answer_events, max_size=8), st.integers(0, 8), st.integers(0, 99))
def test_frames_lost_in_a_crash_differ_from_those_after_it(
    content: list[AnyEvent], kept: int, seen: int
) -> None:
    """The client saw more than was journalled, and resumes after the recovery."""

    def rendered(journal: list[AnyEvent], after: str | None) -> list[Frame]:
        return frames_of(render(journal, after=after))

    check_after_a_crash(rendered, content, kept, seen)


@settings(max_examples=examples(50))
@given(journals, st.booleans())
def test_every_frame_parses_with_the_sdk_types(journal: list[AnyEvent], usage: bool) -> None:
    for data in datas(journal, usage=usage):
        if data != "[DONE]" and "error" not in json.loads(data):
            read_chunk(data)


@given(short_text)
def test_fast_path_renders_text_like_the_general_one(text: str) -> None:
    """The first text takes the general path, all others take the fast path."""
    *_, slow, quick, _end, _done = datas([STARTED, Text(text, "null"), Text(text), ended()])
    assert json.loads(quick)["choices"][0]["delta"] == json.loads(slow)["choices"][0]["delta"]
    assert json.loads(quick)["choices"][0]["delta"] == {"content": text}


@given(journals, cuts, st.lists(st.integers(0, 2000), max_size=10))
def test_heartbeats_anywhere_make_no_event(
    journal: list[AnyEvent], cuts: list[int], splits: list[int]
) -> None:
    dialect = OpenAIChat(WITH_USAGE)
    stream = HEARTBEAT
    for batch in cut_at(journal, cuts):
        stream += dialect.render(batch) + HEARTBEAT
    parts = [bytes(part) for part in cut_at(stream, splits)]
    seen = sdk_events(parts)
    assert [event.data for event in seen] == [frame.data for frame in frames_of(stream)]
    assert all(event.data for event in seen)
