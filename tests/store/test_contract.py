from actors.ports import TurnStore
from store.store import Store
from tests.support.store_records import CALLER, a_segment, a_turn, an_end


async def test_store_implements_turn_store(store: Store) -> None:
    """The annotation is the main test: mypy checks `Store` against the protocol."""
    port: TurnStore = store
    turn = a_turn(store.owner)
    await port.begin(turn)
    assert await port.checkpoint([a_segment(turn)]) == frozenset()
    assert (await port.finalise(an_end(turn))).won
    await port.spool(an_end(turn))
    assert await port.orphans() == []
    assert len(await port.segments(turn.id)) == 1
    assert await store.get_turn(CALLER, turn.id) is not None
