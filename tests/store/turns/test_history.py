"""Tests of `store.turns.history`: predecessors of a turn, and turns of a conversation."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from sys import getsizeof

import pytest
import trio
from msgspec.structs import replace
from sqlalchemy import Connection

from store.database.engine import backend_for, open_engine
from store.database.settings import StoreSettings
from store.records.ids import new_id
from store.records.turn_records import ChainLink, ConversationBusy, NewTurn, Principal
from store.store import Store, open_store
from store.turns import history, reads
from tests.support.database_inspection import captured_statement, plan, steps_taken
from tests.support.store_records import (
    CALLER,
    MAX_BYTES,
    TENANT,
    a_response,
    a_turn,
    an_end,
    caller,
)


async def answered(store: Store, turn: NewTurn, items: str = '["said"]') -> str:
    """Begin and end a turn; return its id."""
    await store.turns.begin(turn)
    await store.turns.finalise(an_end(turn, items=items))
    return turn.id


async def a_chain(store: Store, length: int) -> list[str]:
    """Store turns that each continue the one before; return their ids, oldest first."""
    ids: list[str] = []
    for number in range(length):
        previous = ids[-1] if ids else None
        turn = a_response(store.ownership.id, previous, items=f"[{number}]")
        ids.append(await answered(store, turn, f"[{-number}]"))
    return ids


async def test_chain_of_first_turn_has_one_link(store: Store) -> None:
    turn = a_response(store.ownership.id)
    await answered(store, turn)
    assert await store.turns.chain(CALLER, turn.id, 9, MAX_BYTES) == [
        ChainLink(
            turn_id=turn.id,
            status="completed",
            dialect="openai-responses",
            dialect_options='{"echo":{"instructions":"Be nice."}}',
            input_items='["asked"]',
            answer_items='["said"]',
        )
    ]


async def test_chain_is_ordered_oldest_first(store: Store) -> None:
    ids = await a_chain(store, 5)
    links = await store.turns.chain(CALLER, ids[-1], 5, MAX_BYTES)
    assert [link.turn_id for link in links] == ids
    assert [link.previous_id for link in links] == [None, *ids[:-1]]
    assert [(link.input_items, link.answer_items) for link in links] == [
        ("[0]", "[0]"),
        ("[1]", "[-1]"),
        ("[2]", "[-2]"),
        ("[3]", "[-3]"),
        ("[4]", "[-4]"),
    ]
    assert {link.lost for link in links} == {None}


async def test_two_turns_can_continue_the_same_turn(store: Store) -> None:
    first, second = await a_chain(store, 2)
    other = await answered(store, a_response(store.ownership.id, first))
    assert [link.turn_id for link in await store.turns.chain(CALLER, second, 9, MAX_BYTES)] == [
        first,
        second,
    ]
    assert [link.turn_id for link in await store.turns.chain(CALLER, other, 9, MAX_BYTES)] == [
        first,
        other,
    ]


async def test_turn_in_flight_is_a_link_without_answer(store: Store) -> None:
    (first,) = await a_chain(store, 1)
    turn = a_response(store.ownership.id, first)
    await store.turns.begin(turn)
    _, link = await store.turns.chain(CALLER, turn.id, 9, MAX_BYTES)
    assert (link.status, link.input_items, link.answer_items) == ("in_progress", '["asked"]', "[]")


async def test_long_chain_is_cut_to_its_newest_links(store: Store) -> None:
    ids = await a_chain(store, 5)
    links = await store.turns.chain(CALLER, ids[-1], 3, MAX_BYTES)
    assert [link.turn_id for link in links] == ids[2:]
    assert links[0].previous_id == ids[1]
    (only,) = await store.turns.chain(CALLER, ids[-1], 1, MAX_BYTES)
    assert only.turn_id == ids[-1]


async def test_large_chain_is_cut_to_its_newest_links(
    settings: StoreSettings,
) -> None:
    async with open_store(settings) as store:
        ids = await a_chain(store, 5)
    each = getsizeof("[0]") + getsizeof("[-1]") + getsizeof("{}")
    last = each - getsizeof("{}") + getsizeof('{"echo":{"instructions":"Be nice."}}')
    read = partial(history.chain, principal=CALLER, turn_id=ids[-1], limit=9)
    links = read_links(settings, partial(read, max_bytes=last + each))
    assert [link.turn_id for link in links] == ids[3:]
    assert links[0].previous_id == ids[2]
    for less in (last + each - 1, 1):
        links = read_links(settings, partial(read, max_bytes=less))
        assert [link.turn_id for link in links] == ids[4:]


async def test_chain_reads_options_of_newest_turn_only(store: Store) -> None:
    """Options may hold large tool definitions, which every request of a chain repeats."""
    ids = await a_chain(store, 3)
    links = await store.turns.chain(CALLER, ids[-1], 9, MAX_BYTES)
    options = '{"echo":{"instructions":"Be nice."}}'
    assert [link.dialect_options for link in links] == ["{}", "{}", options]


async def test_deleted_ancestor_is_reported_and_chain_continues(store: Store) -> None:
    ids = await a_chain(store, 3)
    await store.turns.delete_response(CALLER, ids[1], 2000.0)
    links = await store.turns.chain(CALLER, ids[2], 9, MAX_BYTES)
    assert [(link.turn_id, link.lost) for link in links] == [
        (ids[0], None),
        (ids[1], "deleted"),
        (ids[2], None),
    ]
    assert links[1] == ChainLink(turn_id=ids[1], lost="deleted", previous_id=ids[0])


async def test_missing_ancestor_is_reported(store: Store) -> None:
    turn = a_response(store.ownership.id, "turn_unknown")
    await answered(store, turn)
    missing, link = await store.turns.chain(CALLER, turn.id, 9, MAX_BYTES)
    assert missing == ChainLink(turn_id="turn_unknown", lost="missing")
    assert link.turn_id == turn.id


async def test_ancestor_of_another_tenant_is_missing(store: Store) -> None:
    theirs = await answered(store, a_response(store.ownership.id, "turn_a", tenant="tenant_b"))
    mine = await answered(store, a_response(store.ownership.id, theirs))
    missing, _ = await store.turns.chain(CALLER, mine, 9, MAX_BYTES)
    assert missing == ChainLink(turn_id=theirs, lost="missing")


@pytest.mark.parametrize("turn", ["turn_unknown", "", "turn_' OR 1=1 --"])
async def test_chain_of_unknown_turn_is_one_missing_link(store: Store, turn: str) -> None:
    assert await store.turns.chain(CALLER, turn, 9, MAX_BYTES) == [
        ChainLink(turn_id=turn, lost="missing")
    ]


@pytest.mark.parametrize(
    "make", [a_turn, partial(a_response, keep_text=False), partial(a_response, items=None)]
)
async def test_ancestor_without_items_is_reported(
    store: Store, make: Callable[[str], NewTurn]
) -> None:
    before = await answered(store, make(store.ownership.id))
    turn = a_response(store.ownership.id, before)
    await answered(store, turn)
    lost, _ = await store.turns.chain(CALLER, turn.id, 9, MAX_BYTES)
    assert lost == ChainLink(turn_id=before, lost="not_kept")


async def test_cyclic_chain_ends_at_the_limit(store: Store) -> None:
    """A turn cannot continue a later one, but a database may have been tampered with."""
    first = a_response(store.ownership.id, "turn_b")
    await answered(store, replace(first, id="turn_a"))
    await answered(store, replace(first, id="turn_b", previous_id="turn_a"))
    await answered(store, replace(first, id="turn_c", previous_id="turn_c"))
    links = await store.turns.chain(CALLER, "turn_b", 5, MAX_BYTES)
    assert [link.turn_id for link in links] == ["turn_b", "turn_a", "turn_b", "turn_a", "turn_b"]
    assert [link.turn_id for link in await store.turns.chain(CALLER, "turn_c", 3, MAX_BYTES)] == [
        "turn_c"
    ] * 3


async def test_chain_is_one_indexed_query(settings: StoreSettings, database: Path) -> None:
    async with open_store(settings) as store:
        ids = await a_chain(store, 100)
    read = partial(history.chain, principal=CALLER, turn_id=ids[-1], limit=100, max_bytes=MAX_BYTES)
    assert len(read_links(settings, read)) == 100
    steps = plan(database, captured_statement(settings, read))
    tables = ("turns", "input", "answer")
    assert not any(step.startswith(f"SCAN {table}") for step in steps for table in tables), steps
    searches = [step for step in steps if step.startswith("SEARCH")]
    assert [step.split("(")[0] for step in searches] == [
        # The turn itself, then its predecessors: each row is read once.
        "SEARCH turns USING INDEX sqlite_autoindex_turns_1 ",
        "SEARCH turns USING INDEX ix_turns_tenant_id_id_previous_id ",
        "SEARCH input USING INDEX ix_messages_turn_id_role ",
        "SEARCH answer USING INDEX ix_messages_turn_id_role ",
    ]


async def test_chain_cost_is_linear_in_its_length(settings: StoreSettings, database: Path) -> None:
    async with open_store(settings) as store:
        ids = await a_chain(store, 100)
    cost = {
        length: steps_taken(
            database,
            captured_statement(
                settings,
                partial(
                    history.chain,
                    principal=CALLER,
                    turn_id=ids[length - 1],
                    limit=1000,
                    max_bytes=MAX_BYTES,
                ),
            ),
        )
        for length in (1, 10, 100)
    }
    each = (cost[10] - cost[1]) / 9
    assert (cost[100] - cost[10]) / 90 == pytest.approx(each, rel=0.05)


async def test_latest_turn_is_newest_of_conversation(store: Store) -> None:
    assert await store.turns.latest_turn_in(CALLER, "a") is None
    first = await answered(store, a_response(store.ownership.id, conversation="a"))
    await answered(store, a_response(store.ownership.id, conversation="b"))
    assert await store.turns.latest_turn_in(CALLER, "a") == first
    second = await answered(store, a_response(store.ownership.id, first, conversation="a"))
    assert await store.turns.latest_turn_in(CALLER, "a") == second
    assert await store.turns.latest_turn_in(caller("tenant_b"), "a") is None


async def test_turn_in_flight_is_not_latest_turn(store: Store) -> None:
    first = await answered(store, a_response(store.ownership.id, conversation="a"))
    assert not await store.turns.conversation_live(CALLER, "a")
    turn = a_response(store.ownership.id, first, conversation="a")
    await store.turns.begin(turn)
    assert await store.turns.conversation_live(CALLER, "a")
    assert not await store.turns.conversation_live(CALLER, "b")
    assert not await store.turns.conversation_live(caller("tenant_b"), "a")
    assert await store.turns.latest_turn_in(CALLER, "a") == first
    await store.turns.finalise(an_end(turn))
    assert not await store.turns.conversation_live(CALLER, "a")
    assert await store.turns.latest_turn_in(CALLER, "a") == turn.id


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize(
    ("changes", "stays"),
    [
        ({"status": "failed", "items": None}, False),
        ({"status": "failed", "items": "[]"}, False),
        ({"status": "cancelled", "items": None}, False),
        ({"status": "incomplete", "items": None}, False),
        ({"status": "incomplete", "items": '["Hel"]'}, True),
        ({"status": "cancelled", "items": '["Hel"]'}, True),
        ({"status": "failed", "items": '["Hel"]'}, True),
        ({"status": "failed", "items": '["Hel"]', "heard": False}, False),
        ({"status": "completed", "items": None}, True),
    ],
)
async def test_turn_without_answer_leaves_its_conversation(
    store: Store, changes: dict[str, object], stays: bool, begun: bool
) -> None:
    first = await answered(store, a_response(store.ownership.id, conversation="a"))
    turn = a_response(store.ownership.id, first, conversation="a")
    if begun:
        await store.turns.begin(turn)
    await store.turns.finalise(replace(an_end(turn), **changes))
    assert await store.turns.latest_turn_in(CALLER, "a") == (turn.id if stays else first)
    assert not await store.turns.conversation_live(CALLER, "a")
    links = await store.turns.chain(CALLER, turn.id, 9, MAX_BYTES)
    assert [link.turn_id for link in links] == [first, turn.id]
    assert links[1].lost is None


async def test_deleted_or_unstored_turn_is_not_latest_turn(store: Store) -> None:
    ids = [
        await answered(store, a_response(store.ownership.id, conversation="a")) for _ in range(3)
    ]
    await answered(store, a_response(store.ownership.id, conversation="a", keep_text=False))
    assert await store.turns.latest_turn_in(CALLER, "a") == ids[2]
    for number in (2, 1, 0):
        await store.turns.delete_response(CALLER, ids[number], 2000.0)
        assert await store.turns.latest_turn_in(CALLER, "a") == (
            ids[number - 1] if number else None
        )


async def test_deleted_turn_in_flight_is_not_live(store: Store) -> None:
    turn = a_response(store.ownership.id, conversation="a")
    await store.turns.begin(turn)
    await store.turns.delete_response(CALLER, turn.id, 2000.0)
    assert not await store.turns.conversation_live(CALLER, "a")


@pytest.mark.parametrize(
    ("read", "index"),
    [
        (history.latest_turn_in, "ix_turns_tenant_id_conversation_id"),
        (history.conversation_live, "ix_turns_tenant_id_conversation"),
    ],
)
def test_conversation_queries_use_an_index(
    settings: StoreSettings,
    database: Path,
    read: Callable[[Connection, Principal, str], object],
    index: str,
) -> None:
    statement = captured_statement(settings, lambda connection: read(connection, CALLER, "a"))
    steps = plan(database, statement)
    assert any(f"SEARCH turns USING INDEX {index} (" in step for step in steps), steps
    assert not any("TEMP B-TREE" in step or "SCAN turns" in step for step in steps), steps


async def test_conversation_query_cost_does_not_depend_on_length(
    settings: StoreSettings, database: Path
) -> None:
    """The cost does not depend on the number of deleted turns either."""
    for read in (history.latest_turn_in, history.conversation_live):
        costs = set()
        for length in (1, 50, 100):
            name = f"{read.__name__}_{length}"
            fill(settings, database, name, length)
            query = partial(read, principal=CALLER, conversation=name)
            costs.add(steps_taken(database, captured_statement(settings, query)))
        assert max(costs) < min(costs) + 10, costs


def fill(settings: StoreSettings, database: Path, conversation: str, length: int) -> None:
    """Create a conversation of `length` turns, followed by `length` deleted ones."""
    open_engine(backend_for(settings)).dispose()
    with closing(sqlite3.connect(database)) as connection, connection:
        for number in range(2 * length):
            connection.execute(
                "INSERT INTO turns (id, tenant_id, owner, status, model, mode, dialect,"
                " dialect_options, keep_text, created_at, ended_at, epoch, conversation,"
                " deleted_at) VALUES (?, ?, 'o', 'completed', 'm', 'attached', 'd', '{}', 1,"
                " 1.0, 2.0, 0, ?, ?)",
                (
                    new_id("turn_", number),
                    TENANT,
                    conversation,
                    None if number < length else 3.0,
                ),
            )


@pytest.mark.parametrize("read", [reads.response, reads.get_turn])
async def test_response_query_uses_an_index(
    settings: StoreSettings, database: Path, read: Callable[[Connection, Principal, str], object]
) -> None:
    statement = captured_statement(settings, lambda connection: read(connection, CALLER, "turn_x"))
    steps = plan(database, statement)
    assert not any(step.startswith("SCAN") for step in steps), steps


def read_links(
    settings: StoreSettings, read: Callable[[Connection], list[ChainLink]]
) -> list[ChainLink]:
    """Return the links that `read` finds."""
    engine = open_engine(backend_for(settings))
    with engine.connect() as connection:
        links = read(connection)
    engine.dispose()
    return links


@pytest.mark.parametrize("has_history", [True, False])
async def test_two_processes_cannot_begin_turns_in_one_conversation(
    store: Store, settings: StoreSettings, has_history: bool
) -> None:
    async with open_store(settings) as other:
        last = None
        if has_history:
            last = await answered(store, a_response(store.ownership.id, conversation="a"))
        first = a_response(store.ownership.id, last, conversation="a")
        await store.turns.begin(first)
        second = a_response(other.ownership.id, last, conversation="a")
        with pytest.raises(ConversationBusy, match="a"):
            await other.turns.begin(second)
        await other.turns.begin(a_response(other.ownership.id, last, conversation="b"))
        await store.turns.finalise(an_end(first, items='["said"]'))
        if has_history:
            with pytest.raises(ConversationBusy):
                await other.turns.begin(second)
        assert await other.turns.get_turn(CALLER, second.id) is None
        await other.turns.begin(a_response(other.ownership.id, first.id, conversation="a"))


async def test_one_of_ten_simultaneous_begins_wins(store: Store) -> None:
    refused = 0

    async def begin() -> None:
        nonlocal refused
        try:
            await store.turns.begin(a_response(store.ownership.id, conversation="a"))
        except ConversationBusy:
            refused += 1

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(begin)
    assert refused == 9


async def test_deleted_turn_in_flight_does_not_block_its_conversation(store: Store) -> None:
    first = a_response(store.ownership.id, conversation="a")
    await store.turns.begin(first)
    await store.turns.delete_response(CALLER, first.id, 2000.0)
    await store.turns.begin(a_response(store.ownership.id, conversation="a"))
