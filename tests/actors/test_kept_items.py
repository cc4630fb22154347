"""Turns that later turns build on: what of them goes to the store as items, and what does not."""

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock, wait_all_tasks_blocked

from actors import events, finalise
from actors.answer_items import (
    FunctionCallItem,
    Item,
    ItemStatus,
    MessageItem,
    ReasoningItem,
    TextPart,
    decode_items,
)
from actors.chunks import Chunk, ReasoningChunk, ToolCallChunk
from actors.events import AnyEvent
from actors.long_answers import LONG_EVENTS
from actors.outcome import Reason
from actors.ports import FinalRecord, TurnView
from actors.recovery import recover
from actors.registry import Registry
from actors.run_turn import run_turn
from actors.turn import Turn, TurnRequest
from actors.unsaved import MOST_BYTES, Unsaved
from tests.actors.fakes import (
    FOREVER,
    MemoryStore,
    RecordingObserver,
    ScriptedProvider,
    Theatre,
    Trouble,
    a_request,
    now,
    stop,
    text,
)
from tests.actors.samples import STARTED
from tests.actors.test_recovery import ORPHAN, recovered, store_of
from tests.actors.test_unsaved import record as unsaved_record

WHOLE = ItemStatus.COMPLETED


def asking(*, keep_text: bool = True, input_items: str | None = '["asked"]') -> TurnRequest:
    """A request whose items are to be kept."""
    return replace(
        a_request("main", keep_text=keep_text),
        previous_id="turn_0",
        conversation="chat",
        input_items=input_items,
        dialect_options={"echo": {"instructions": "Be nice."}},
    )


async def played(theatre: Theatre, asked: TurnRequest | None = None) -> FinalRecord:
    await run_turn(theatre.turn(asked or asking()), theatre.backstage)
    assert theatre.observer.crashes == []
    return theatre.record


def items_in(record: FinalRecord) -> list[Item]:
    assert record.items is not None
    return decode_items(record.items)


def message(text: str, status: ItemStatus = WHOLE) -> MessageItem:
    return MessageItem(status=status, parts=(TextPart(text),))


async def test_what_was_asked_goes_with_the_row(autojump_clock: MockClock) -> None:
    theatre = Theatre(ScriptedProvider(text("a"), stop()))
    record = await played(theatre)
    for new in (theatre.store.begun["turn_1"], record.turn):
        assert (new.previous_id, new.conversation) == ("turn_0", "chat")
        assert new.input_items == '["asked"]'


async def test_the_answers_items_go_with_its_end(autojump_clock: MockClock) -> None:
    said: list[Chunk] = [ReasoningChunk("hm"), *text("Hel", "lo")]
    called: list[Chunk] = [ToolCallChunk(0, "call_1", "f", "{}")]
    theatre = Theatre(ScriptedProvider(said, called, stop(Reason.TOOL_CALLS)))
    record = await played(theatre)
    assert items_in(record) == [
        ReasoningItem(status=WHOLE, text="hm"),
        message("Hello"),
        FunctionCallItem(status=WHOLE, call_id="call_1", name="f", arguments="{}"),
    ]
    assert record.text == "Hello"


async def test_thinking_alone_is_kept(autojump_clock: MockClock) -> None:
    record = await played(Theatre(ScriptedProvider([ReasoningChunk("hm")], stop())))
    assert items_in(record) == [ReasoningItem(status=WHOLE, text="hm")]


async def test_an_answer_that_broke_off_is_kept_as_unfinished(autojump_clock: MockClock) -> None:
    theatre = Theatre(ScriptedProvider(text("Hel"), FOREVER))
    turn = theatre.turn(asking())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_turn, turn, theatre.backstage)
        await trio.sleep(1)
        turn.stop(Reason.CANCEL_REQUESTED)
    assert items_in(theatre.record) == [message("Hel", ItemStatus.INCOMPLETE)]


async def test_where_nothing_was_said_there_are_no_items(autojump_clock: MockClock) -> None:
    assert (await played(Theatre(ScriptedProvider(stop())))).items is None


async def test_a_turn_that_keeps_none_is_not_searched_for_items(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def must_not(_journal: object) -> str:
        raise AssertionError("a chat turn got dearer")

    monkeypatch.setattr(finalise, "items_of", must_not)
    record = await played(Theatre(ScriptedProvider(text("a"), stop())), asking(input_items=None))
    assert (record.items, record.text) == (None, "a")
    record = await played(Theatre(ScriptedProvider(text("a"), stop())), asking(keep_text=False))
    assert (record.items, record.text, record.turn.input_items) == (None, "", None)


async def test_a_long_answer_is_the_same(autojump_clock: MockClock) -> None:
    pieces = ["ab "] * (LONG_EVENTS + 1)
    record = await played(Theatre(ScriptedProvider(text(*pieces), stop())))
    assert items_in(record) == [message("".join(pieces))]


async def test_a_long_answer_is_kept_where_no_thread_is_to_be_had(
    autojump_clock: MockClock,
) -> None:
    limiter = trio.to_thread.current_default_thread_limiter()
    theatre = Theatre(ScriptedProvider(text(*["a"] * (LONG_EVENTS + 1)), stop()))
    holders = [object() for _ in range(int(limiter.available_tokens))]
    for holder in holders:
        limiter.acquire_on_behalf_of_nowait(holder)
    try:
        record = await played(theatre)
    finally:
        for holder in holders:
            limiter.release_on_behalf_of(holder)
    assert items_in(record) == [message("a" * (LONG_EVENTS + 1))]


async def deleted_midway(theatre: Theatre) -> Turn:
    """Play a turn that is deleted between its words."""
    turn = theatre.turn(asking())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_turn, turn, theatre.backstage)
        await trio.sleep(1)
        turn.mark_deleted(now())
    return turn


@pytest.mark.parametrize("trouble", [(), ("finalise",), ("finalise", "spool")])
async def test_of_a_deleted_turn_no_word_goes_anywhere(
    autojump_clock: MockClock, trouble: tuple[str, ...]
) -> None:
    """Not to the database, nor to the spool, nor to the log."""
    theatre = Theatre(ScriptedProvider(text("secret"), 2.0, text("secret"), stop()))
    theatre.store.trouble = dict.fromkeys(trouble, Trouble.REFUSES)
    turn = await deleted_midway(theatre)
    (record,) = theatre.store.records or theatre.observer.lost
    assert (record.text, record.items, record.tool_calls, record.segment) == ("", None, None, None)
    assert (record.turn.input_items, record.turn.dialect_options) == (None, {})
    assert (record.status, record.reason) == ("completed", "stop")
    assert record.usage is not None
    assert record.last_event == len(turn.journal.events) - 1
    assert not turn.keeps_said
    assert not turn.keeps_items


@pytest.mark.parametrize("trouble", [("finalise",), ("finalise", "spool")])
async def test_wherever_the_record_goes_the_items_go(
    autojump_clock: MockClock, trouble: tuple[str, ...]
) -> None:
    theatre = Theatre(ScriptedProvider(text("a"), stop()))
    theatre.store.trouble = dict.fromkeys(trouble, Trouble.REFUSES)
    await run_turn(theatre.turn(asking()), theatre.backstage)
    (record,) = theatre.store.spooled or theatre.observer.lost
    assert items_in(record) == [message("a")]
    assert record.turn.input_items == '["asked"]'


def orphan_of(**changes: object) -> TurnView:
    """A turn in flight whose owner died, with items."""
    return replace(ORPHAN, **{"keeps_items": True, "previous_id": "turn_0", **changes})


HALF: list[AnyEvent] = [
    STARTED,
    events.Reasoning("hm"),
    events.Text("Hel"),
    events.Text("lo"),
]


async def test_recovery_makes_items_of_what_had_been_journalled(autojump_clock: MockClock) -> None:
    record = await recovered(store_of(HALF, 2, orphan=orphan_of(conversation="chat")))
    assert items_in(record) == [
        ReasoningItem(status=WHOLE, text="hm"),
        message("Hello", ItemStatus.INCOMPLETE),
    ]
    assert (record.turn.previous_id, record.turn.conversation) == ("turn_0", "chat")


async def test_recovery_makes_none_where_none_are_kept(autojump_clock: MockClock) -> None:
    record = await recovered(store_of(HALF, orphan=orphan_of(keeps_items=False)))
    assert (record.items, record.text) == (None, "Hello")


async def test_recovery_of_nothing_makes_none(autojump_clock: MockClock) -> None:
    store = store_of([], orphan=orphan_of())
    assert await recover(store, now) == 1
    assert store.finals[0].items is None


async def test_items_count_for_what_unsaved_records_may_take(autojump_clock: MockClock) -> None:
    half = "x" * (MOST_BYTES // 2)
    plain = unsaved_record(1, text="")
    asked = replace(plain, turn=replace(plain.turn, input_items=half))
    for large in (replace(plain, items=half), asked):
        unsaved = Unsaved(MemoryStore(), RecordingObserver())
        unsaved.keep(large)
        unsaved.keep(large)
        unsaved.keep(large)
        assert len(unsaved) == 2


async def test_what_was_asked_is_forgotten_with_its_call(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Once the turn is over, and only its record waits for the database."""
    theatre = Theatre(ScriptedProvider(text("a"), stop()))
    theatre.store.trouble["finalise"] = Trouble.REFUSES
    registry = Registry(
        nursery, theatre.backstage, owner="owner_1", max_turns=3, new_id=lambda: "turn_1"
    )
    turn = registry.start(asking())
    await turn.final.wait()
    await wait_all_tasks_blocked()
    assert registry.find(turn.request.tenant_id, turn.id) is turn
    assert turn.request.input_items is None
