"""Tests of unsaved records, which are retried until the store takes them."""

import msgspec
import trio
from trio.testing import MockClock

from actors.finalisation.finaliser import MAX_BYTES, RETRY_S, Unsaved
from actors.turn.store_records import FinalRecord, NewTurn
from tests.support.turn_fakes import EPOCH, MemoryStore, RecordingObserver, StoreFault

TURN = NewTurn(
    id="turn_1",
    tenant_id="tenant",
    owner="own_1",
    model="sim",
    mode="attached",
    dialect="openai-chat",
    dialect_options={},
    created_at=EPOCH,
)
RECORD = FinalRecord(
    turn=TURN,
    status="completed",
    reason="stop",
    disconnect_stage=None,
    provider="main",
    upstream_model="model",
    usage=None,
    text="an answer",
    tool_calls=None,
    error=None,
    first_token_at=None,
    ended_at=EPOCH,
    last_event=0,
    epoch=0,
    segment=None,
)


def record(number: int, text: str = "an answer") -> FinalRecord:
    turn = msgspec.structs.replace(TURN, id=f"turn_{number}")
    return msgspec.structs.replace(RECORD, turn=turn, text=text)


async def test_records_are_retried_until_the_store_takes_them(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    store.trouble["finalise"] = StoreFault.REFUSES
    unsaved = Unsaved(store, RecordingObserver())
    settled: list[float] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(unsaved.run, lambda: settled.append(trio.current_time()))
        unsaved.keep(record(1))
        unsaved.keep(record(2))
        await trio.sleep(10.5 * RETRY_S)
        assert len(unsaved) == 2
        assert settled == []
        store.trouble.clear()
        await trio.sleep(RETRY_S)
        nursery.cancel_scope.cancel()
    assert [found.turn.id for found in store.finals] == ["turn_1", "turn_2"]
    assert len(unsaved) == 0
    assert len(settled) == 1


async def test_refused_record_does_not_block_later_ones(
    autojump_clock: MockClock,
) -> None:
    store, observer = MemoryStore(), RecordingObserver()
    store.trouble["finalise"] = StoreFault.CRASHES
    unsaved = Unsaved(store, observer)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(unsaved.run, lambda: None)
        unsaved.keep(record(1))
        await trio.sleep(1.5 * RETRY_S)
        store.trouble.clear()
        unsaved.keep(record(2))
        await trio.sleep(1.5 * RETRY_S)
        nursery.cancel_scope.cancel()
    assert [found.turn.id for found in store.finals] == ["turn_2"]
    assert len(observer.crashes) == 1


async def test_memory_is_limited() -> None:
    unsaved = Unsaved(MemoryStore(), RecordingObserver())
    for number in range(5):
        unsaved.keep(record(number, "x" * (MAX_BYTES // 3)))
    assert len(unsaved) == 3
