"""Conversations: their metadata, the items that clients add and delete, and their end."""

from msgspec.structs import replace

from store.records.turn_records import Conversation, ConversationItem
from store.store import Store
from tests.support.store_records import CALLER, a_response, an_end, caller

OTHER = caller("tenant_b")
CHAT = Conversation("chat", 1.0, '{"a":"b"}')


def an_item(number: int) -> ConversationItem:
    return ConversationItem(f"msg_{number}", f"0_{number:04}", f'{{"n":{number}}}')


def marked(id: str) -> ConversationItem:
    return ConversationItem(id, "1_0000", None)


async def test_created_conversation_can_be_updated_and_deleted(store: Store) -> None:
    conversations = store.conversations
    assert await conversations.get(CALLER, "chat") is None
    assert await conversations.save(CALLER, CHAT, [an_item(1)]) is None
    assert await conversations.get(CALLER, "chat") == CHAT
    changed = replace(CHAT, created_at=9.0, metadata="{}")
    assert await conversations.save(CALLER, changed) is None
    assert await conversations.get(CALLER, "chat") == replace(CHAT, metadata="{}")
    assert await conversations.get(OTHER, "chat") is None
    await conversations.delete(OTHER, "chat")
    assert await conversations.items(CALLER, "chat") == [an_item(1)]
    await conversations.delete(CALLER, "chat")
    assert await conversations.get(CALLER, "chat") is None
    assert await conversations.items(CALLER, "chat") == []


async def test_items_come_in_the_order_of_their_positions(store: Store) -> None:
    conversations = store.conversations
    await conversations.save(CALLER, CHAT, [an_item(2), an_item(1)])
    await conversations.save(CALLER, CHAT, [an_item(3)])
    await conversations.save(CALLER, replace(CHAT, id="other"), [an_item(1)])
    assert await conversations.items(CALLER, "chat") == [an_item(n) for n in (1, 2, 3)]
    assert await conversations.find_items(CALLER, ["msg_2", "x"]) == [an_item(2)]
    assert len(await conversations.find_items(CALLER, ["msg_1"])) == 2
    assert await conversations.items(OTHER, "chat") == []
    assert await conversations.find_items(OTHER, ["msg_2"]) == []


async def test_item_that_is_there_prevents_the_change(store: Store) -> None:
    conversations = store.conversations
    await conversations.save(CALLER, CHAT, [an_item(1)])
    changed = replace(CHAT, metadata="{}")
    assert await conversations.save(CALLER, changed, [an_item(2), an_item(1)]) == "msg_1"
    assert await conversations.get(CALLER, "chat") == CHAT
    assert await conversations.items(CALLER, "chat") == [an_item(1)]


async def test_deleted_items_of_turns_stay_marked_until_they_are_added(store: Store) -> None:
    conversations = store.conversations
    await conversations.save(CALLER, CHAT, [an_item(1)])
    for id in ("msg_1", "of a turn", "of a turn"):
        await conversations.delete_item(CALLER, "chat", marked(id))
    assert await conversations.items(CALLER, "chat") == [marked("of a turn")]
    again = ConversationItem("of a turn", "2_0000", "{}")
    assert await conversations.save(CALLER, CHAT, [again, an_item(1)]) is None
    assert await conversations.items(CALLER, "chat") == [an_item(1), again]


async def test_conversation_exists_through_its_turns_which_leave_it_at_its_end(
    store: Store,
) -> None:
    turn = a_response(store.ownership.id, conversation="talk")
    await store.turns.begin(turn)
    await store.turns.finalise(an_end(turn, items='["said"]'))
    assert await store.conversations.get(CALLER, "talk") == Conversation("talk", turn.created_at)
    assert await store.turns.latest_turn_in(CALLER, "talk") == turn.id
    await store.conversations.delete(CALLER, "talk")
    assert await store.conversations.get(CALLER, "talk") is None
    assert await store.turns.latest_turn_in(CALLER, "talk") is None
    assert await store.turns.response(CALLER, turn.id) is not None
