"""Numbers, order and journal; and what the final record is made of."""

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from actors import events
from actors.accumulator import Draft
from actors.checkpointer import decode_events
from actors.chunks import FinishChunk, UsageChunk
from actors.events import AnyEvent, Started, Text
from actors.order import Place
from actors.outcome import Reason
from actors.persister import Persister
from tests.actors.fakes import Theatre, a_request
from tests.actors.samples import STARTED, USAGE, answer_events, cut_at, ended

WARNING = events.Warning("half_time", "half")
CALL = events.ToolCall(0, "a", "f", "{}")


class Desk:
    """A persister with what it reports to."""

    def __init__(self, *, keep_text: bool = True) -> None:
        self.theatre = Theatre()
        self.turn = self.theatre.turn(a_request(keep_text=keep_text))
        self.persister = Persister(self.turn, self.theatre.checkpointer, self.theatre.observer)
        self.step = self.persister.step

    @property
    def journal(self) -> list[AnyEvent]:
        return self.turn.journal.events

    @property
    def dropped(self) -> int:
        return len(self.theatre.observer.disorders)


async def test_events_are_journalled_in_order() -> None:
    desk = Desk()
    desk.step([STARTED, Text("a")])
    desk.step([events.Reasoning("r"), Text("b")])
    assert desk.journal == [STARTED, Text("a"), events.Reasoning("r"), Text("b")]
    assert desk.persister.text == "ab"
    assert desk.dropped == 0


async def test_the_finish_is_remembered_not_journalled() -> None:
    desk = Desk()
    desk.step([STARTED])
    desk.step([FinishChunk(Reason.LENGTH)])
    assert desk.journal == [STARTED]
    assert desk.persister.finish is Reason.LENGTH


async def test_what_was_taken_back_is_not_kept() -> None:
    desk = Desk()
    call = events.ToolCall(0, "call_1", "f", "{}")
    desk.step([STARTED, Text("gone"), call, events.Retry("truncated"), Text("stays")])
    assert desk.persister.text == "stays"
    assert desk.persister.tool_calls == []


async def test_a_warning_before_started_waits_for_it() -> None:
    desk = Desk()
    desk.step([WARNING])
    assert desk.journal == []
    desk.step([STARTED, Text("a")])
    assert desk.journal == [STARTED, WARNING, Text("a")]


async def test_a_warning_without_an_answer_stands_before_the_end() -> None:
    desk = Desk()
    desk.step([WARNING])
    started, *rest = desk.persister.closing(ended(Reason.TIME_BUDGET))
    assert isinstance(started, Started)
    assert (started.provider, started.upstream_model) == (None, None)
    assert started.turn_id == desk.turn.id
    assert rest == [WARNING, ended(Reason.TIME_BUDGET)]


async def test_after_an_answer_only_the_end_is_left() -> None:
    desk = Desk()
    desk.step([WARNING, STARTED])
    assert desk.persister.closing(ended()) == [ended()]


async def test_what_is_out_of_order_is_dropped_and_reported() -> None:
    desk = Desk()
    desk.step(
        [Text("too early"), STARTED, STARTED, Text("a"), events.Blocked("x"), Text("b"), CALL]
    )
    assert desk.journal == [STARTED, Text("a"), events.Blocked("x")]
    assert desk.persister.text == "a"
    assert desk.persister.tool_calls == []
    assert desk.dropped == 4


async def test_a_replacement_replaces_the_text() -> None:
    desk = Desk()
    desk.step([STARTED, Text("bad"), events.Replace("good", "guard"), Text(" more")])
    assert desk.persister.text == "good more"


async def test_whole_tool_calls_are_kept() -> None:
    desk = Desk()
    desk.step([STARTED, events.ToolCallDelta(0, "a", "f", "{}"), CALL])
    assert desk.persister.tool_calls == [CALL]


async def test_readers_are_woken_once_per_batch(nursery: trio.Nursery) -> None:
    desk = Desk()
    desk.step([FinishChunk(Reason.STOP)])
    subscription = desk.turn.journal.subscribe()
    batches: list[list[AnyEvent]] = []

    async def read() -> None:
        batches.append(await subscription.read())

    nursery.start_soon(read)
    await trio.testing.wait_all_tasks_blocked()
    desk.step([STARTED, Text("a"), Text("b")])
    await trio.testing.wait_all_tasks_blocked()
    assert batches == [[STARTED, Text("a"), Text("b")]]


async def test_the_tail_holds_what_the_store_lacks() -> None:
    desk = Desk()
    desk.step([STARTED, Text("a")])
    desk.persister.tail.flushed = 1
    segment = desk.persister.tail.cut([ended()])
    assert segment is not None
    assert (segment.first_seq, segment.last_seq) == (1, 2)
    assert decode_events(segment.blob) == [Text("a"), ended()]


async def test_who_wants_no_text_kept_gets_no_checkpoints(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    desk = Desk(keep_text=False)
    nursery.start_soon(desk.theatre.checkpointer.run)
    desk.step([STARTED, Text("a")])
    await trio.sleep(10)
    assert desk.theatre.store.flushes == []
    nursery.cancel_scope.cancel()


async def _batched(drafts: list[Draft], cuts: list[int]) -> tuple[list[AnyEvent], str, int, Place]:
    desk = Desk()
    for batch in cut_at(drafts, cuts):
        desk.step(batch)
    return desk.journal, desk.persister.text, desk.dropped, desk.persister._order.place


drafts = st.lists(
    answer_events
    | st.sampled_from(
        [STARTED, ended(), events.Blocked("x"), FinishChunk(Reason.STOP), UsageChunk(USAGE)]
    )
)


@given(drafts, st.lists(st.integers(0, 99)))
def test_batches_make_no_difference(drafts: list[Draft], cuts: list[int]) -> None:
    assert trio.run(_batched, drafts, cuts) == trio.run(_batched, drafts, [])
