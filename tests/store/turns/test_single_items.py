"""Items of turns by their place, and their places by ids that do not name them."""

from msgspec.structs import replace

from store.records.turn_records import ItemPlace, NewTurn, Role, TurnItems
from store.store import Store
from tests.support.store_records import CALLER, a_response, an_end, caller


def a_turn_with_ids(store: Store, *ids: str) -> NewTurn:
    return replace(a_response(store.ownership.id), input_ids=ids)


async def test_lists_of_items_are_found_by_turn_and_role(store: Store) -> None:
    first, second = a_response(store.ownership.id), a_response(store.ownership.id)
    for turn in (first, second):
        await store.turns.begin(turn)
    await store.turns.finalise(an_end(first, items='["said"]'))
    wanted: list[tuple[str, Role]] = [
        (first.id, "input"),
        (first.id, "assistant"),
        (second.id, "assistant"),
    ]
    found = await store.turns.turn_items(CALLER, wanted, 99)
    assert found == [
        TurnItems(first.id, "input", '["asked"]'),
        TurnItems(first.id, "assistant", '["said"]'),
    ]
    assert len(await store.turns.turn_items(CALLER, wanted, 5)) == 1
    assert await store.turns.turn_items(caller("tenant_b"), wanted, 99) == []
    assert await store.turns.delete_response(CALLER, first.id, 1.0)
    assert await store.turns.turn_items(CALLER, wanted, 99) == []


async def test_places_are_found_by_given_ids_until_the_turn_is_deleted(store: Store) -> None:
    first, second = a_turn_with_ids(store, "a", "b", "a"), a_turn_with_ids(store, "a")
    await store.turns.begin(first)
    await store.turns.finalise(replace(an_end(first, items='["said"]'), answer_ids=("c", "a")))
    await store.turns.finalise(replace(an_end(second, items='["said"]'), answer_ids=("d",)))
    of_first = [ItemPlace("a", first.id, "input"), ItemPlace("b", first.id, "input")]
    of_second = [ItemPlace("a", second.id, "input")]
    assert await store.turns.item_places(CALLER, ["a", "x", "b"]) == of_first + of_second
    assert await store.turns.item_places(CALLER, ["c", "d"]) == [
        ItemPlace("c", first.id, "assistant"),
        ItemPlace("d", second.id, "assistant"),
    ]
    assert await store.turns.item_places(caller("tenant_b"), ["a"]) == []
    assert await store.turns.delete_response(CALLER, first.id, 1.0)
    assert await store.turns.item_places(CALLER, ["a", "b", "c"]) == of_second


async def test_turns_that_keep_no_content_leave_no_ids(store: Store) -> None:
    turn = replace(a_turn_with_ids(store, "a"), keep_text=False)
    await store.turns.begin(turn)
    await store.turns.finalise(an_end(turn))
    assert await store.turns.item_places(CALLER, ["a"]) == []
