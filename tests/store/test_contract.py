from actors.ports import TurnStore
from store.store import Store
from tests.store.builders import TENANT, a_segment, a_turn, an_end


async def test_the_store_is_what_a_turn_needs(store: Store) -> None:
    """The annotation is the test: mypy holds `Store` against the protocol."""
    port: TurnStore = store
    turn = a_turn(store.owner)
    await port.begin(turn)
    assert await port.checkpoint([a_segment(turn)]) == frozenset()
    assert (await port.finalise(an_end(turn))).won
    await port.spool(an_end(turn))
    assert await port.orphans() == []
    assert len(await port.segments(turn.id)) == 1
    assert await store.get_turn(TENANT, turn.id) is not None
