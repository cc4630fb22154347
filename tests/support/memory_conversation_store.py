"""Conversations in memory, following the store's contract."""

from collections.abc import Sequence

import trio

from store.records.turn_records import Conversation, ConversationItem, Principal

Key = tuple[str, str]
"""Tenant and name of a conversation."""


class MemoryConversations:
    """An in-memory repository of conversations; those without a row exist through their turns."""

    def __init__(self) -> None:
        self.rows: dict[Key, Conversation] = {}
        self.added: dict[Key, dict[str, ConversationItem]] = {}

    async def get(self, principal: Principal, id: str) -> Conversation | None:
        await trio.lowlevel.checkpoint()
        return self.rows.get((principal.tenant_id, id))

    async def items(self, principal: Principal, id: str) -> list[ConversationItem]:
        await trio.lowlevel.checkpoint()
        items = self.added.get((principal.tenant_id, id), {})
        return sorted(items.values(), key=lambda item: item.position)

    async def find_items(
        self, principal: Principal, item_ids: Sequence[str]
    ) -> list[ConversationItem]:
        await trio.lowlevel.checkpoint()
        return [
            item
            for (tenant, _), items in self.added.items()
            for item in items.values()
            if tenant == principal.tenant_id and item.item_id in item_ids
        ]

    async def save(
        self,
        principal: Principal,
        conversation: Conversation,
        items: Sequence[ConversationItem] = (),
    ) -> str | None:
        await trio.lowlevel.checkpoint()
        key = principal.tenant_id, conversation.id
        known = self.added.setdefault(key, {})
        for item in items:
            if item.item_id in known and known[item.item_id].item is not None:
                return item.item_id
        self.rows[key] = conversation
        known |= {item.item_id: item for item in items}
        return None

    async def delete_item(self, principal: Principal, id: str, item: ConversationItem) -> None:
        await trio.lowlevel.checkpoint()
        known = self.added.setdefault((principal.tenant_id, id), {})
        old = known.pop(item.item_id, None)
        if old is None or old.item is None:
            known[item.item_id] = item

    async def delete(self, principal: Principal, id: str) -> None:
        await trio.lowlevel.checkpoint()
        self.rows.pop((principal.tenant_id, id), None)
        self.added.pop((principal.tenant_id, id), None)
