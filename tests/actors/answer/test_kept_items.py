"""Tests of the items that are stored for turns which later turns continue."""

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.answer.codec import decode_items
from actors.answer.items import (
    FunctionCallItem,
    Item,
    ItemStatus,
    MessageItem,
    ReasoningItem,
    TextPart,
)
from actors.finalisation import outcome_decision
from actors.finalisation.finaliser import MAX_BYTES, Unsaved
from actors.finalisation.recovery import recover
from actors.run_turn import run_turn
from actors.runtime.offload import BUDGET, Cost
from actors.turn import events
from actors.turn.chunks import Chunk, ReasoningChunk, ToolCallChunk
from actors.turn.events import AnyEvent
from actors.turn.outcome import Reason
from actors.turn.request import TurnRequest
from actors.turn.state import Turn
from actors.turn.store_records import FinalRecord, TurnView
from actors.turn_registry import Registry
from tests.actors.finalisation.test_recovery import ORPHAN, recovered, store_of
from tests.actors.finalisation.test_unsaved_records import record as unsaved_record
from tests.support.sample_events import STARTED
from tests.support.turn_fakes import (
    FOREVER,
    MemoryStore,
    RecordingObserver,
    ScriptedProvider,
    StoreFault,
    TurnHarness,
    a_request,
    now,
    stop,
    text,
)

WHOLE = ItemStatus.COMPLETED


def a_stored_request(
    *, keep_text: bool = True, input_items: str | None = '["asked"]'
) -> TurnRequest:
    """Return a request whose items are stored."""
    return replace(
        a_request("main", keep_text=keep_text),
        previous_id="turn_0",
        conversation="chat",
        input_items=input_items,
        dialect_options={"echo": {"instructions": "Be nice."}},
    )


async def run_to_record(harness: TurnHarness, asked: TurnRequest | None = None) -> FinalRecord:
    await run_turn(harness.turn(asked or a_stored_request()), harness.dependencies)
    assert harness.observer.crashes == []
    return harness.record


def items_in(record: FinalRecord) -> list[Item]:
    assert record.items is not None
    return decode_items(record.items)


def message(text: str, status: ItemStatus = WHOLE) -> MessageItem:
    return MessageItem(status=status, parts=(TextPart(text),))


async def test_input_items_are_stored_with_the_row(autojump_clock: MockClock) -> None:
    harness = TurnHarness(ScriptedProvider(text("a"), stop()))
    record = await run_to_record(harness)
    for new in (harness.store.begun["turn_1"], record.turn):
        assert (new.previous_id, new.conversation) == ("turn_0", "chat")
        assert new.input_items == '["asked"]'


async def test_output_items_are_stored_with_the_final_record(autojump_clock: MockClock) -> None:
    reasoning_and_text: list[Chunk] = [ReasoningChunk("hm"), *text("Hel", "lo")]
    call_chunks: list[Chunk] = [ToolCallChunk(0, "call_1", "f", "{}")]
    harness = TurnHarness(
        ScriptedProvider(reasoning_and_text, call_chunks, stop(Reason.TOOL_CALLS))
    )
    record = await run_to_record(harness)
    assert items_in(record) == [
        ReasoningItem(status=WHOLE, text="hm"),
        message("Hello"),
        FunctionCallItem(status=WHOLE, call_id="call_1", name="f", arguments="{}"),
    ]
    assert record.text == "Hello"


async def test_reasoning_alone_is_stored(autojump_clock: MockClock) -> None:
    record = await run_to_record(TurnHarness(ScriptedProvider([ReasoningChunk("hm")], stop())))
    assert items_in(record) == [ReasoningItem(status=WHOLE, text="hm")]


async def test_interrupted_answer_is_stored_as_incomplete(autojump_clock: MockClock) -> None:
    harness = TurnHarness(ScriptedProvider(text("Hel"), FOREVER))
    turn = harness.turn(a_stored_request())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_turn, turn, harness.dependencies)
        await trio.sleep(1)
        turn.stop(Reason.CANCEL_REQUESTED)
    assert items_in(harness.record) == [message("Hel", ItemStatus.INCOMPLETE)]


async def test_empty_answer_has_no_items(autojump_clock: MockClock) -> None:
    assert (await run_to_record(TurnHarness(ScriptedProvider(stop())))).items is None


async def test_items_are_not_built_for_a_turn_that_stores_none(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_journal: object) -> str:
        raise AssertionError("items were built for a turn that stores none")

    monkeypatch.setattr(outcome_decision, "items_of", fail)
    record = await run_to_record(
        TurnHarness(ScriptedProvider(text("a"), stop())), a_stored_request(input_items=None)
    )
    assert (record.items, record.text) == (None, "a")
    record = await run_to_record(
        TurnHarness(ScriptedProvider(text("a"), stop())), a_stored_request(keep_text=False)
    )
    assert (record.items, record.text, record.turn.input_items) == (None, "", None)


async def test_long_answer_has_the_same_items(autojump_clock: MockClock) -> None:
    pieces = ["ab "] * (BUDGET // Cost.EVENT + 1)
    record = await run_to_record(TurnHarness(ScriptedProvider(text(*pieces), stop())))
    assert items_in(record) == [message("".join(pieces))]


async def test_long_answer_is_stored_without_a_free_thread(
    autojump_clock: MockClock,
) -> None:
    limiter = trio.to_thread.current_default_thread_limiter()
    harness = TurnHarness(ScriptedProvider(text(*["a"] * (BUDGET // Cost.EVENT + 1)), stop()))
    holders = [object() for _ in range(int(limiter.available_tokens))]
    for holder in holders:
        limiter.acquire_on_behalf_of_nowait(holder)
    try:
        record = await run_to_record(harness)
    finally:
        for holder in holders:
            limiter.release_on_behalf_of(holder)
    assert items_in(record) == [message("a" * (BUDGET // Cost.EVENT + 1))]


async def run_with_deletion(harness: TurnHarness) -> Turn:
    """Run a turn that is deleted between two pieces of text."""
    turn = harness.turn(a_stored_request())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_turn, turn, harness.dependencies)
        await trio.sleep(1)
        turn.mark_deleted(now())
    return turn


@pytest.mark.parametrize("trouble", [(), ("finalise",), ("finalise", "spool")])
async def test_content_of_a_deleted_turn_is_stored_nowhere(
    autojump_clock: MockClock, trouble: tuple[str, ...]
) -> None:
    """It goes neither to the database nor to the spool nor to the log."""
    harness = TurnHarness(ScriptedProvider(text("secret"), 2.0, text("secret"), stop()))
    harness.store.trouble = dict.fromkeys(trouble, StoreFault.REFUSES)
    turn = await run_with_deletion(harness)
    (record,) = harness.store.records or harness.observer.lost
    assert (record.text, record.items, record.tool_calls, record.segment) == ("", None, None, None)
    assert (record.turn.input_items, record.turn.dialect_options) == (None, {})
    assert (record.status, record.reason) == ("completed", "stop")
    assert record.usage is not None
    assert record.last_event == len(turn.journal.events) - 1
    assert not turn.keeps_content
    assert not turn.keeps_items


@pytest.mark.parametrize("trouble", [("finalise",), ("finalise", "spool")])
async def test_items_go_with_the_record_to_spool_or_log(
    autojump_clock: MockClock, trouble: tuple[str, ...]
) -> None:
    harness = TurnHarness(ScriptedProvider(text("a"), stop()))
    harness.store.trouble = dict.fromkeys(trouble, StoreFault.REFUSES)
    await run_turn(harness.turn(a_stored_request()), harness.dependencies)
    (record,) = harness.store.spooled or harness.observer.lost
    assert items_in(record) == [message("a")]
    assert record.turn.input_items == '["asked"]'


def orphan_of(**changes: object) -> TurnView:
    """Return a turn in progress with items whose owner died."""
    return replace(ORPHAN, **{"keeps_items": True, "previous_id": "turn_0", **changes})


HALF: list[AnyEvent] = [
    STARTED,
    events.Reasoning("hm"),
    events.Text("Hel"),
    events.Text("lo"),
]


async def test_recovery_builds_items_from_the_journal(autojump_clock: MockClock) -> None:
    record = await recovered(store_of(HALF, 2, orphan=orphan_of(conversation="chat")))
    assert items_in(record) == [
        ReasoningItem(status=WHOLE, text="hm"),
        message("Hello", ItemStatus.INCOMPLETE),
    ]
    assert (record.turn.previous_id, record.turn.conversation) == ("turn_0", "chat")


async def test_recovery_builds_no_items_if_none_are_stored(autojump_clock: MockClock) -> None:
    record = await recovered(store_of(HALF, orphan=orphan_of(keeps_items=False)))
    assert (record.items, record.text) == (None, "Hello")


async def test_recovery_of_an_empty_journal_builds_no_items(autojump_clock: MockClock) -> None:
    store = store_of([], orphan=orphan_of())
    assert await recover(store, store, now) == 1
    assert store.finals[0].items is None


async def test_items_count_towards_the_limit_of_unsaved_records(autojump_clock: MockClock) -> None:
    half = "x" * (MAX_BYTES // 2)
    plain = unsaved_record(1, text="")
    asked = replace(plain, turn=replace(plain.turn, input_items=half))
    for large in (replace(plain, items=half), asked):
        unsaved = Unsaved(MemoryStore(), RecordingObserver())
        unsaved.keep(large)
        unsaved.keep(large)
        unsaved.keep(large)
        assert len(unsaved) == 2


async def test_input_items_of_an_ended_turn_are_freed(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """The turn has ended, and only its record still waits for the database."""
    harness = TurnHarness(ScriptedProvider(text("a"), stop()))
    harness.store.trouble["finalise"] = StoreFault.REFUSES
    registry = Registry(
        nursery, harness.dependencies, owner="owner_1", max_turns=3, new_id=lambda: "turn_1"
    )
    turn = registry.start(a_stored_request())
    await turn.final.wait()
    await wait_all_tasks_blocked()
    assert registry.find(turn.request.principal, turn.id) is turn
    assert turn.request.input_items is None
