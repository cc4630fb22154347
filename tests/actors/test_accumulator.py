"""Chunks become draft events; tool calls become whole; the size limit holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import events
from actors.accumulator import MAX_LOGPROBS_BYTES, Accumulator, Draft, accumulate
from actors.attempt import Item
from actors.chunks import (
    Chunk,
    FinishChunk,
    ReasoningChunk,
    RefusalChunk,
    SkippedChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
)
from actors.links import Link
from actors.outcome import Reason
from tests.actors.samples import STARTED, USAGE, answer_chunks, cut_at

FINISH = FinishChunk(Reason.STOP)


class Oversize:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1


def accumulator(max_answer_bytes: int = 1000, oversize: Oversize | None = None) -> Accumulator:
    return Accumulator(max_answer_bytes, oversize or Oversize())


def test_text_keeps_its_logprobs() -> None:
    logprobs = '{"content":[]}'
    assert accumulator().step([TextChunk("a", logprobs)]) == [events.Text("a", logprobs)]


def test_each_kind_of_text_becomes_its_event() -> None:
    chunks: list[Item] = [ReasoningChunk("r"), TextChunk("t"), RefusalChunk("n")]
    assert accumulator().step(chunks) == [
        events.Reasoning("r"),
        events.Text("t"),
        events.Refusal("n"),
    ]


def test_events_and_finish_pass_through_in_their_place_and_usage_is_the_ledgers() -> None:
    items: list[Item] = [STARTED, TextChunk("a"), UsageChunk(USAGE), FINISH]
    assert accumulator().step(items) == [STARTED, events.Text("a"), FINISH]


def test_calls_of_an_answer_that_is_begun_anew_are_forgotten() -> None:
    step = accumulator().step
    step([ToolCallChunk(0, "call_1", "f", '{"a":')])
    assert step([events.Retry("truncated"), FINISH]) == [events.Retry("truncated"), FINISH]


def test_a_skipped_frame_is_a_warning() -> None:
    assert accumulator().step([SkippedChunk("<html>")]) == [
        events.Warning("malformed_frame", "<html>")
    ]


def test_a_tool_call_in_pieces_becomes_whole_at_the_finish() -> None:
    step = accumulator().step
    pieces = [
        ToolCallChunk(0, "call_1", "weather", ""),
        ToolCallChunk(0, None, None, '{"city":'),
        ToolCallChunk(0, None, None, '"Kyiv"}'),
    ]
    for piece in pieces:
        assert step([piece]) == [
            events.ToolCallDelta(piece.index, piece.id, piece.name, piece.arguments)
        ]
    whole = events.ToolCall(0, "call_1", "weather", '{"city":"Kyiv"}')
    assert step([FinishChunk(Reason.TOOL_CALLS)]) == [whole, FinishChunk(Reason.TOOL_CALLS)]


def test_parallel_tool_calls_keep_apart_and_come_by_index() -> None:
    drafts = accumulator().step(
        [
            ToolCallChunk(1, "b", "two", "["),
            ToolCallChunk(0, "a", "one", "{"),
            ToolCallChunk(1, None, None, "]"),
            ToolCallChunk(0, None, None, "}"),
            FINISH,
        ]
    )
    assert drafts[4:] == [
        events.ToolCall(0, "a", "one", "{}"),
        events.ToolCall(1, "b", "two", "[]"),
        FINISH,
    ]


def test_an_id_that_is_repeated_is_taken_once() -> None:
    drafts = accumulator().step(
        [ToolCallChunk(0, "a", "one", "1"), ToolCallChunk(0, "other", "two", "2"), FINISH]
    )
    assert drafts[-2] == events.ToolCall(0, "a", "one", "12")


def test_without_a_finish_no_tool_call_is_whole() -> None:
    drafts = accumulator().step([ToolCallChunk(0, "a", "one", "{}")])
    assert not any(isinstance(draft, events.ToolCall) for draft in drafts)


def test_an_answer_of_just_the_limit_passes() -> None:
    oversize = Oversize()
    step = accumulator(6, oversize).step
    assert step([TextChunk("abc"), TextChunk("äx"), FINISH])[-1] is FINISH
    assert oversize.calls == 0


@pytest.mark.parametrize(
    "chunk",
    [
        TextChunk("ää"),
        ReasoningChunk("abcd"),
        RefusalChunk("abcd"),
        ToolCallChunk(0, "a", "f", "1234"),
    ],
    ids=lambda chunk: type(chunk).__name__,
)
def test_past_the_limit_there_is_one_warning_and_no_more_answer(chunk: Chunk) -> None:
    oversize = Oversize()
    grown = accumulator(3, oversize)
    drafts = grown.step([chunk, TextChunk("more"), chunk])
    assert [type(draft) for draft in drafts] == [events.Warning]
    assert oversize.calls == 1


def test_an_answer_that_was_cut_at_the_limit_has_no_finish() -> None:
    """Also where limit and finish came in one read, or the finish stood in a link."""
    grown = accumulator(3)
    drafts = grown.step([ToolCallChunk(0, "a", "f", "{}"), TextChunk("long"), FINISH])
    assert [type(draft) for draft in drafts] == [events.ToolCallDelta, events.Warning]
    assert grown.step([FINISH]) == []


def test_the_number_of_events_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.accumulator.MAX_EVENTS", 2)
    oversize = Oversize()
    drafts = accumulator(1000, oversize).step([TextChunk("")] * 4)
    assert [type(draft) for draft in drafts] == [events.Text, events.Text, events.Warning]
    assert oversize.calls == 1


def test_frames_that_are_skipped_count_as_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.accumulator.MAX_EVENTS", 2)
    oversize = Oversize()
    drafts = accumulator(1000, oversize).step([SkippedChunk("?")] * 9)
    assert len(drafts) == 3
    assert oversize.calls == 1


@given(st.lists(answer_chunks | st.just(FINISH)), st.integers(0, 20), st.lists(st.integers(0, 99)))
def test_batches_make_no_difference(chunks: list[Item], limit: int, cuts: list[int]) -> None:
    whole = accumulator(limit)
    expected = whole.step(chunks)
    parted = accumulator(limit)
    drafts: list[Draft] = []
    for batch in cut_at(chunks, cuts):
        drafts += parted.step(batch)
    assert drafts == expected


async def test_the_actor_steps_and_ends_with_its_inbox() -> None:
    chunks: Link[Item] = Link()
    drafts: Link[Draft] = Link()
    with chunks.sender:
        await chunks.sender.put([TextChunk("a")])
        await chunks.sender.put([TextChunk("b"), FINISH])
    await accumulate(accumulator(), chunks.receiver, drafts.sender)
    received = [draft async for batch in drafts.receiver for draft in batch]
    assert received == [events.Text("a"), events.Text("b"), FINISH]


def test_logprobs_have_a_bound_of_their_own() -> None:
    growing = accumulator(max_answer_bytes=100)
    huge = "x" * (MAX_LOGPROBS_BYTES // 2 + 1)
    first, second = TextChunk("a", huge), TextChunk("b", huge)
    assert growing.step([first]) == [events.Text("a", huge)]
    warning, text = growing.step([second])
    assert isinstance(warning, events.Warning)
    assert text == events.Text("b")
    assert growing.step([TextChunk("c", "{}")]) == [events.Text("c")]
