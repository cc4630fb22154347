"""Tests of the accumulator: drafts from chunks, complete tool calls, size limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.accumulator import MAX_LOGPROBS_BYTES, Accumulator, Draft, accumulate
from actors.attempts.attempt import Item
from actors.runtime.batch_channel import BatchChannel
from actors.turn import events
from actors.turn.chunks import (
    Chunk,
    FinishChunk,
    ReasoningChunk,
    RefusalChunk,
    SkippedChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
)
from actors.turn.outcome import Reason
from tests.support.sample_events import STARTED, USAGE, answer_chunks, cut_at
from tests.support.turn_fakes import TurnHarness

FINISH = FinishChunk(Reason.STOP)


def accumulator(max_answer_bytes: int = 1000) -> Accumulator:
    return Accumulator(max_answer_bytes)


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


def test_events_and_finish_pass_through_in_order_and_usage_is_dropped() -> None:
    items: list[Item] = [STARTED, TextChunk("a"), UsageChunk(USAGE), FINISH]
    assert accumulator().step(items) == [STARTED, events.Text("a"), FINISH]


def test_skipped_frame_becomes_a_warning() -> None:
    assert accumulator().step([SkippedChunk("<html>")]) == [
        events.Warning("malformed_frame", "<html>")
    ]


def test_tool_call_pieces_become_deltas() -> None:
    pieces: list[Item] = [
        ToolCallChunk(1, "b", "two", "["),
        ToolCallChunk(0, "a", None, "{"),
        ToolCallChunk(1, "b", "two", "]"),  # some servers repeat the id and the name
        ToolCallChunk(0, None, "one", "}"),
    ]
    assert accumulator().step([*pieces, FINISH]) == [
        events.ToolCallDelta(1, "b", "two", "["),
        events.ToolCallDelta(0, "a", None, "{"),
        events.ToolCallDelta(1, None, None, "]"),
        events.ToolCallDelta(0, None, "one", "}"),
        FINISH,
    ]


@pytest.mark.parametrize("ids", [(None, None), ("", ""), ("a", "a"), ("call_1_1", None)])
def test_each_call_gets_an_id_of_its_own_with_its_first_piece(ids: tuple[str | None, ...]) -> None:
    pieces: list[Item] = [ToolCallChunk(n, id, "f", "{}") for n, id in enumerate(ids)]
    more: list[Item] = [ToolCallChunk(0, "late", None, " ")]
    first, second, third = accumulator().step([STARTED, *pieces, *more])[1:]
    assert isinstance(first, events.ToolCallDelta)
    assert isinstance(second, events.ToolCallDelta)
    assert first.id
    assert second.id
    assert first.id != second.id
    assert third == events.ToolCallDelta(0, None, None, " ")


def test_ids_of_ours_differ_between_turns_and_begin_again_with_the_answer() -> None:
    def made(turn_id: str) -> list[object]:
        call: list[Item] = [ToolCallChunk(0, None, "f", "{}")]
        started: list[Item] = [replace(STARTED, turn_id=turn_id), *call, events.Retry("cut"), *call]
        deltas = accumulator().step(started)
        return [one.id for one in deltas if isinstance(one, events.ToolCallDelta)]

    assert made("turn_7") == ["call_7_0"] * 2
    assert made("turn_8") == ["call_8_0"] * 2


@pytest.mark.parametrize("reason", [Reason.STOP, Reason.TOOL_CALLS])
def test_blank_arguments_become_an_object(reason: Reason) -> None:
    pieces: list[Item] = [
        ToolCallChunk(0, "a", "f", ""),
        ToolCallChunk(1, "b", "g", '{"x":1}'),
        ToolCallChunk(2, "c", "h", " "),
        ToolCallChunk(3, "d", "i", "null"),
    ]
    assert accumulator().step([*pieces, FinishChunk(reason)])[3:] == [
        events.ToolCallDelta(3, "d", "i", ""),
        events.ToolCallDelta(0, None, None, "{}"),
        events.ToolCallDelta(2, None, None, "{}"),
        events.ToolCallDelta(3, None, None, "{}"),
        FinishChunk(reason),
    ]


def test_arguments_of_a_cut_answer_stay_as_they_are() -> None:
    cut = FinishChunk(Reason.LENGTH)
    assert accumulator().step([ToolCallChunk(0, "a", "f", ""), cut])[1:] == [cut]


def test_answer_of_exactly_the_limit_passes() -> None:
    state = accumulator(6)
    assert state.step([TextChunk("abc"), TextChunk("äx"), FINISH])[-1] is FINISH
    assert not state.full


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
def test_beyond_the_limit_one_warning_replaces_the_rest(chunk: Chunk) -> None:
    state = accumulator(3)
    drafts = state.step([chunk, TextChunk("more"), chunk])
    assert [type(draft) for draft in drafts] == [events.Warning]
    assert state.full


def test_answer_cut_at_the_limit_has_no_finish() -> None:
    """The limit and the finish may come in one read, or the finish may wait in a link."""
    state = accumulator(3)
    drafts = state.step([ToolCallChunk(0, "a", "f", "{}"), TextChunk("long"), FINISH])
    assert [type(draft) for draft in drafts] == [events.ToolCallDelta, events.Warning]
    assert state.step([FINISH]) == []


def test_number_of_events_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.accumulator.MAX_EVENTS", 2)
    state = accumulator()
    drafts = state.step([TextChunk("")] * 4)
    assert [type(draft) for draft in drafts] == [events.Text, events.Text, events.Warning]
    assert state.full


def test_skipped_frames_count_as_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.accumulator.MAX_EVENTS", 2)
    state = accumulator()
    drafts = state.step([SkippedChunk("?")] * 9)
    assert len(drafts) == 3
    assert state.full


@given(st.lists(answer_chunks | st.just(FINISH)), st.integers(0, 20), st.lists(st.integers(0, 99)))
def test_drafts_do_not_depend_on_batching(chunks: list[Item], limit: int, cuts: list[int]) -> None:
    whole = accumulator(limit)
    expected = whole.step(chunks)
    batched = accumulator(limit)
    drafts: list[Draft] = []
    for batch in cut_at(chunks, cuts):
        drafts += batched.step(batch)
    assert drafts == expected


async def test_actor_ends_with_its_inbox() -> None:
    chunks: BatchChannel[Item] = BatchChannel()
    drafts: BatchChannel[Draft] = BatchChannel()
    with chunks.sender:
        await chunks.sender.put([TextChunk("a")])
        await chunks.sender.put([TextChunk("b"), FINISH])
    turn = TurnHarness().turn()
    await accumulate(accumulator(), turn, chunks.receiver, drafts.sender)
    received = [draft async for batch in drafts.receiver for draft in batch]
    assert received == [events.Text("a"), events.Text("b"), FINISH]
    assert turn.cause is None


async def test_full_answer_stops_the_turn() -> None:
    turn = TurnHarness().turn()
    chunks: BatchChannel[Item] = BatchChannel()
    with chunks.sender:
        await chunks.sender.put([TextChunk("long")])
    await accumulate(accumulator(3), turn, chunks.receiver, BatchChannel[Draft]().sender)
    assert turn.cause is not None
    assert turn.cause.reason is Reason.SIZE_LIMIT
    assert turn.scope.cancel_called


def test_logprobs_have_their_own_limit() -> None:
    state = accumulator(max_answer_bytes=100)
    huge = "x" * (MAX_LOGPROBS_BYTES // 2 + 1)
    first, second = TextChunk("a", huge), TextChunk("b", huge)
    assert state.step([first]) == [events.Text("a", huge)]
    warning, text = state.step([second])
    assert isinstance(warning, events.Warning)
    assert text == events.Text("b")
    assert state.step([TextChunk("c", "{}")]) == [events.Text("c")]
