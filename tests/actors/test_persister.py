"""Tests of the persister: event order, journal, and the data of the final record."""

from functools import partial

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from actors.accumulator import Draft
from actors.journal.checkpointer import decode_events
from actors.persister import Persister, record
from actors.turn import events
from actors.turn.chunks import FinishChunk, UsageChunk
from actors.turn.event_order import JournalState
from actors.turn.events import AnyEvent, Started, Text
from actors.turn.outcome import Reason
from tests.support.sample_events import STARTED, USAGE, answer_events, cut_at, ended
from tests.support.turn_fakes import TurnHarness, a_request

WARNING = events.Warning("half_time", "half")
CALL = events.ToolCall(0, "a", "f", "{}")


class PersisterSetup:
    """A persister with its turn and its dependencies."""

    def __init__(self, *, keep_text: bool = True) -> None:
        self.harness = TurnHarness()
        self.turn = self.harness.turn(a_request(keep_text=keep_text))
        self.turn.begin_step(self.turn.request.call)
        self.persister = Persister(self.turn)
        observer = self.harness.observer
        self.step = partial(record, self.persister, self.harness.checkpointer, observer)

    @property
    def journal(self) -> list[AnyEvent]:
        return self.turn.journal.events

    @property
    def dropped(self) -> int:
        return len(self.harness.observer.out_of_order)


async def test_events_are_journalled_in_order() -> None:
    setup = PersisterSetup()
    setup.step([STARTED, Text("a")])
    setup.step([events.Reasoning("r"), Text("b")])
    assert setup.journal == [STARTED, Text("a"), events.Reasoning("r"), Text("b")]
    assert setup.turn.answer.text == "ab"
    assert setup.dropped == 0


async def test_finish_is_remembered_but_not_journalled() -> None:
    setup = PersisterSetup()
    setup.step([STARTED])
    setup.step([FinishChunk(Reason.LENGTH)])
    assert setup.journal == [STARTED]
    assert setup.turn.finish is Reason.LENGTH


async def test_retry_discards_text_and_tool_calls() -> None:
    setup = PersisterSetup()
    call = events.ToolCall(0, "call_1", "f", "{}")
    setup.step([STARTED, Text("gone"), call, events.Retry("truncated"), Text("stays")])
    assert setup.turn.answer.text == "stays"
    assert setup.turn.answer.tool_calls == []


async def test_warning_before_started_waits_for_it() -> None:
    setup = PersisterSetup()
    setup.step([WARNING])
    assert setup.journal == []
    setup.step([STARTED, Text("a")])
    assert setup.journal == [STARTED, WARNING, Text("a")]


async def test_warning_without_an_answer_precedes_the_end() -> None:
    setup = PersisterSetup()
    setup.step([WARNING])
    started, *rest = setup.persister.closing(ended(Reason.TIME_BUDGET))
    assert isinstance(started, Started)
    assert (started.provider, started.upstream_model) == (None, None)
    assert started.turn_id == setup.turn.id
    assert rest == [WARNING, ended(Reason.TIME_BUDGET)]


async def test_closing_an_answer_adds_only_the_end() -> None:
    setup = PersisterSetup()
    setup.step([WARNING, STARTED])
    assert setup.persister.closing(ended()) == [ended()]


async def test_events_out_of_order_are_dropped_and_reported() -> None:
    setup = PersisterSetup()
    setup.step(
        [Text("too early"), STARTED, STARTED, Text("a"), events.Blocked("x"), Text("b"), CALL]
    )
    assert setup.journal == [STARTED, Text("a"), events.Blocked("x")]
    assert setup.turn.answer.text == "a"
    assert setup.turn.answer.tool_calls == []
    assert setup.dropped == 4


async def test_replacement_replaces_the_text() -> None:
    setup = PersisterSetup()
    setup.step([STARTED, Text("bad"), events.Replace("good", "guard"), Text(" more")])
    assert setup.turn.answer.text == "good more"


async def test_tool_call_pieces_are_joined_at_the_finish() -> None:
    setup = PersisterSetup()
    pieces = [
        events.ToolCallDelta(0, "call_1", "weather", ""),
        events.ToolCallDelta(0, None, None, '{"city":'),
        events.ToolCallDelta(0, None, None, '"Kyiv"}'),
    ]
    setup.step([STARTED, *pieces])
    setup.step([FinishChunk(Reason.TOOL_CALLS)])
    whole = events.ToolCall(0, "call_1", "weather", '{"city":"Kyiv"}')
    assert setup.journal == [STARTED, *pieces, whole]
    assert setup.turn.answer.tool_calls == [whole]


async def test_parallel_tool_calls_are_separate_and_ordered_by_index() -> None:
    setup = PersisterSetup()
    pieces = [
        events.ToolCallDelta(1, "b", "two", "["),
        events.ToolCallDelta(0, "a", "one", "{"),
        events.ToolCallDelta(1, None, None, "]"),
        events.ToolCallDelta(0, None, None, "}"),
    ]
    setup.step([STARTED, *pieces, FinishChunk(Reason.TOOL_CALLS)])
    assert setup.journal[5:] == [
        events.ToolCall(0, "a", "one", "{}"),
        events.ToolCall(1, "b", "two", "[]"),
    ]


async def test_first_id_and_name_of_a_call_are_kept() -> None:
    """The id may come after the name. Without one, the journal has no id, either."""
    setup = PersisterSetup()
    setup.step(
        [
            STARTED,
            events.ToolCallDelta(0, None, "one", "1"),
            events.ToolCallDelta(0, "a", "two", "2"),
            events.ToolCallDelta(0, "b", None, "3"),
            events.ToolCallDelta(1, None, "one", ""),
            events.ToolCallDelta(2, "c", None, "4"),
            FinishChunk(Reason.TOOL_CALLS),
        ]
    )
    assert setup.journal[-3:] == [
        events.ToolCall(0, "a", "one", "123"),
        events.ToolCall(1, "", "one", ""),
        events.ToolCall(2, "c", "", "4"),
    ]


async def test_no_complete_tool_call_without_a_finish_or_after_a_retry_or_block() -> None:
    piece = events.ToolCallDelta(0, "a", "one", "{}")
    finish = FinishChunk(Reason.STOP)
    for drafts in (
        [piece],
        [piece, events.Retry("truncated"), finish],
        [piece, events.Blocked("x"), finish],
    ):
        setup = PersisterSetup()
        setup.step([STARTED, *drafts])
        assert not any(isinstance(event, events.ToolCall) for event in setup.journal)
        assert setup.dropped == 0


async def test_complete_tool_calls_are_collected() -> None:
    setup = PersisterSetup()
    setup.step([STARTED, events.ToolCallDelta(0, "a", "f", "{}"), CALL])
    assert setup.turn.answer.tool_calls == [CALL]


async def test_readers_are_woken_once_per_batch(nursery: trio.Nursery) -> None:
    setup = PersisterSetup()
    setup.step([FinishChunk(Reason.STOP)])
    subscription = setup.turn.journal.subscribe()
    batches: list[list[AnyEvent]] = []

    async def read() -> None:
        batches.append(await subscription.read())

    nursery.start_soon(read)
    await trio.testing.wait_all_tasks_blocked()
    setup.step([STARTED, Text("a"), Text("b")])
    await trio.testing.wait_all_tasks_blocked()
    assert batches == [[STARTED, Text("a"), Text("b")]]


async def test_tail_contains_events_missing_in_the_store() -> None:
    setup = PersisterSetup()
    setup.step([STARTED, Text("a")])
    setup.persister.tail.flushed = 1
    segment = setup.persister.tail.cut([ended()])
    assert segment is not None
    assert (segment.first_seq, segment.last_seq) == (1, 2)
    assert decode_events(segment.blob) == [Text("a"), ended()]


async def test_turn_without_stored_text_gets_no_checkpoints(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    setup = PersisterSetup(keep_text=False)
    nursery.start_soon(setup.harness.checkpointer.run)
    setup.step([STARTED, Text("a")])
    await trio.sleep(10)
    assert setup.harness.store.flushes == []
    nursery.cancel_scope.cancel()


async def _batched(
    drafts: list[Draft], cuts: list[int]
) -> tuple[list[AnyEvent], str, int, JournalState]:
    setup = PersisterSetup()
    for batch in cut_at(drafts, cuts):
        setup.step(batch)
    return setup.journal, setup.turn.answer.text, setup.dropped, setup.persister._order.place


drafts = st.lists(
    answer_events
    | st.sampled_from(
        [STARTED, ended(), events.Blocked("x"), FinishChunk(Reason.STOP), UsageChunk(USAGE)]
    )
)


@given(drafts, st.lists(st.integers(0, 99)))
def test_journal_does_not_depend_on_batching(drafts: list[Draft], cuts: list[int]) -> None:
    assert trio.run(_batched, drafts, cuts) == trio.run(_batched, drafts, [])
