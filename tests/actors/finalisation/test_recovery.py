"""Tests of recovery of turns whose owner died."""

import msgspec
import pytest
from msgspec.structs import replace
from trio.testing import MockClock

from actors.answer.builder import fold
from actors.finalisation.recovery import recover
from actors.journal.checkpointer import encode_events
from actors.turn import events
from actors.turn.event_order import EventOrder
from actors.turn.events import AnyEvent, Ended, Started, Text
from actors.turn.outcome import Price, Reason, Status
from actors.turn.store_records import Finalised, FinalRecord, Segment, TurnView
from actors.usage.estimator import estimate_tokens
from tests.support.sample_events import STARTED, cut_at
from tests.support.turn_fakes import EPOCH, MemoryStore, now

CALL = events.ToolCall(0, "call_1", "f", "{}")
ORPHAN = TurnView(
    id="turn_1",
    tenant_id="tenant_1",
    owner="dead",
    status="in_progress",
    reason=None,
    disconnect_stage=None,
    model="large",
    provider=None,
    upstream_model=None,
    mode="attached",
    dialect="openai-chat",
    dialect_options={"include_usage": True},
    keep_text=True,
    usage=None,
    text="",
    error=None,
    created_at=EPOCH - 100,
    first_token_at=None,
    ended_at=None,
    last_event=None,
    epoch=0,
)


def store_of(journal: list[AnyEvent], *cuts: int, orphan: TurnView = ORPHAN) -> MemoryStore:
    """Return a store with an orphaned turn and this stored journal."""
    store = MemoryStore()
    store.in_flight = [orphan]
    first = 0
    for batch in cut_at(journal, cuts):
        last = first + len(batch) - 1
        store._keep(Segment(orphan.id, "dead", first, last, encode_events(batch)))
        first = last + 1
    return store


async def recovered(store: MemoryStore) -> FinalRecord:
    assert await recover(store, store, now) == 1
    (record,) = store.finals
    return record


def assert_in_order(journal: list[AnyEvent]) -> None:
    order = EventOrder()
    for event in journal:
        order.advance(event)
    assert isinstance(journal[-1], Ended)


async def test_stored_events_are_kept(autojump_clock: MockClock) -> None:
    journalled: list[AnyEvent] = [STARTED, Text("Hel"), Text("lo")]
    store = store_of(journalled, 2)
    record = await recovered(store)
    assert (record.status, record.reason) == (Status.FAILED.value, Reason.OWNER_LOST.value)
    assert record.text == "Hello"
    assert (record.provider, record.upstream_model) == ("main", "main-model")
    assert record.epoch == 1
    assert record.error is not None
    journal = store.journal("turn_1")
    assert journal[:3] == journalled
    assert journal[3] == events.Recovered(1)
    assert_in_order(journal)
    assert record.last_event == len(journal) - 1


async def test_record_keeps_the_dead_owner_for_the_compare_and_set(
    autojump_clock: MockClock,
) -> None:
    record = await recovered(store_of([STARTED]))
    assert record.turn.owner == "dead"
    assert record.turn.created_at == ORPHAN.created_at
    assert record.ended_at == now()


async def test_empty_journal_is_finalised(autojump_clock: MockClock) -> None:
    store = store_of([])
    record = await recovered(store)
    journal = store.journal("turn_1")
    assert [type(event) for event in journal] == [Started, events.Recovered, Ended]
    assert_in_order(journal)
    assert record.usage is None
    assert record.provider is None
    assert record.text == ""


@pytest.mark.parametrize(
    ("journalled", "has_answer"),
    [
        ([], False),
        ([STARTED], False),
        ([STARTED, events.Reasoning("Hm.")], False),
        ([STARTED, Text("Hel")], True),
        ([STARTED, Text("Hel"), events.Retry("why")], False),
    ],
)
async def test_recovered_turn_with_content_can_be_continued(
    autojump_clock: MockClock, journalled: list[AnyEvent], has_answer: bool
) -> None:
    orphan = replace(ORPHAN, keeps_items=True, conversation="c")
    assert (await recovered(store_of(journalled, orphan=orphan))).has_answer is has_answer


@pytest.mark.parametrize("blob", [b"\xc1", b"\x91\x81\xa4type\xa6future"])
async def test_unreadable_segment_does_not_prevent_recovery(
    autojump_clock: MockClock, blob: bytes
) -> None:
    """The blob is damaged or from a newer version; the turn must still get its record."""
    store = store_of([STARTED, Text("Hello"), Text("lost")], 2)
    store.kept["turn_1"][2] = Segment("turn_1", "dead", 2, 2, blob)
    record = await recovered(store)
    assert (record.reason, record.text) == (Reason.OWNER_LOST.value, "Hello")


async def test_each_recovery_increments_the_epoch(autojump_clock: MockClock) -> None:
    record = await recovered(store_of([STARTED], orphan=replace(ORPHAN, epoch=4)))
    assert record.epoch == 5


async def test_replacement_is_applied_to_the_text(autojump_clock: MockClock) -> None:
    journalled: list[AnyEvent] = [STARTED, Text("bad"), events.Replace("good", "guard"), Text("!")]
    record = await recovered(store_of(journalled, 1, 2, 3))
    assert record.text == "good!"
    assert fold(journalled).text == "good!"


async def test_complete_tool_calls_are_kept(autojump_clock: MockClock) -> None:
    record = await recovered(store_of([STARTED, CALL]))
    assert record.tool_calls is not None
    assert '"call_1"' in record.tool_calls


async def test_record_names_the_last_route(autojump_clock: MockClock) -> None:
    journalled: list[AnyEvent] = [STARTED, events.RouteChanged("spare", "spare-model", "truncated")]
    store = store_of(journalled)
    record = await recovered(store)
    assert (record.provider, record.upstream_model) == ("spare", "spare-model")
    end = store.journal("turn_1")[-1]
    assert isinstance(end, Ended)
    assert end.provider == "spare"


async def test_generated_output_is_charged_as_an_estimate(autojump_clock: MockClock) -> None:
    journalled: list[AnyEvent] = [
        STARTED,
        events.Reasoning("think" * 10),
        Text("say" * 10),
        events.Refusal("no" * 10),
        events.ToolCallDelta(0, "a", "f", "{}" * 10),
        events.ToolCall(0, "a", "f", "{}" * 10),
    ]
    record = await recovered(store_of(journalled))
    assert record.usage is not None
    generated = "think" * 10 + "say" * 10 + "no" * 10 + "{}" * 10
    assert record.usage.output_tokens == estimate_tokens(generated)
    assert record.usage.estimated


async def test_turn_without_stored_text_keeps_only_its_row(autojump_clock: MockClock) -> None:
    record = await recovered(store_of([], orphan=replace(ORPHAN, keep_text=False)))
    assert record.segment is None
    assert record.turn.keep_text is False


async def test_turn_finalised_by_another_process_is_skipped(autojump_clock: MockClock) -> None:
    store = store_of([STARTED])
    store.winner = Finalised(False, "completed", "stop")
    assert await recover(store, store, now) == 0
    assert store.finals == []


async def test_every_orphan_is_finalised(autojump_clock: MockClock) -> None:
    store = store_of([STARTED])
    store.in_flight = [replace(ORPHAN, id=f"turn_{number}") for number in range(5)]
    assert await recover(store, store, now) == 5
    assert {record.turn.id for record in store.finals} == {t.id for t in store.in_flight}


async def test_input_estimate_is_charged_at_the_models_price(
    autojump_clock: MockClock,
) -> None:
    asked = msgspec.structs.replace(STARTED, input_estimate=1000)
    store = store_of([asked, Text("a" * 400)])
    prices = {ORPHAN.model: Price(input=2_000_000, output=10_000_000)}
    assert await recover(store, store, now, prices.__getitem__) == 1
    (record,) = store.finals
    assert record.usage is not None
    assert (record.usage.input_tokens, record.usage.output_tokens) == (1000, 100)
    assert record.usage.cost_micros == 2000 + 1000


async def test_calls_before_a_retry_are_not_recovered(autojump_clock: MockClock) -> None:
    journalled: list[AnyEvent] = [STARTED, CALL, events.Retry("truncated"), Text("Hello")]
    record = await recovered(store_of(journalled, 1, 2, 3))
    assert (record.text, record.tool_calls) == ("Hello", None)
