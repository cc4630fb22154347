from actors.ports import RecordSpool, TurnStore
from store.store import Store
from tests.support.store_records import CALLER, a_segment, a_turn, an_end


async def test_store_implements_the_ports_of_turns(store: Store) -> None:
    """The annotations are the main test: mypy checks the classes against the protocols."""
    port: TurnStore = store.turns
    spool: RecordSpool = store.spool
    turn = a_turn(store.ownership.id)
    await port.begin(turn)
    assert await port.checkpoint([a_segment(turn)]) == frozenset()
    assert (await port.finalise(an_end(turn))).won
    await spool.append(an_end(turn))
    assert await spool.adopt() == 0
    assert await port.orphans() == []
    assert len(await port.segments(turn.id)) == 1
    assert await store.turns.get_turn(CALLER, turn.id) is not None
