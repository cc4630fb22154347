"""The repository of conversations."""

from collections.abc import Sequence

import sqlalchemy as sa
from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy.engine.interfaces import DBAPICursor

from store.database.database import Database, Repository, query
from store.database.group_commit import Priority, Work
from store.database.prepared_statements import Prepare, Values
from store.database.tables import CONTINUABLE, conversation_items, conversations, turns
from store.records.turn_records import Conversation, ConversationItem, Principal


class Named(Struct, frozen=True):
    """A conversation of a tenant, for a write."""

    tenant_id: str
    id: str

    @property
    def key(self) -> Values:
        """Parameters that select its rows."""
        return {"the_tenant": self.tenant_id, "the_id": self.id}

    @property
    def columns(self) -> Values:
        """Columns that a row of one of its items begins with."""
        return {"tenant_id": self.tenant_id, "conversation": self.id}


class Saved(Struct, frozen=True):
    """A conversation to create or update, and the items to add to it."""

    named: Named
    conversation: Conversation
    items: Sequence[ConversationItem]


class DeletedItem(Struct, frozen=True):
    """An item to delete from a conversation; its position is that of the mark that stays."""

    named: Named
    item: ConversationItem


def get(connection: sa.Connection, principal: Principal, id: str) -> Conversation | None:
    """Return a conversation that a client created or that a stored turn belongs to, or None."""
    its, of_turns = conversations.c, turns.c
    created = sa.select(its.id, its.created_at, its.metadata).where(
        its.tenant_id == principal.tenant_id, its.id == id
    )
    row = connection.execute(created).first()
    if row is not None:
        return Conversation(*row)
    first = sa.select(sa.func.min(of_turns.created_at)).where(
        of_turns.tenant_id == principal.tenant_id, of_turns.conversation == id, CONTINUABLE
    )
    created_at = connection.scalar(first)
    return None if created_at is None else Conversation(id, created_at)


def items(connection: sa.Connection, principal: Principal, id: str) -> list[ConversationItem]:
    """Return the items that clients added to a conversation or deleted from it, oldest first."""
    its = conversation_items.c
    found = (
        sa.select(its.item_id, its.position, its["item"])
        .where(its.tenant_id == principal.tenant_id, its.conversation == id)
        .order_by(its.position)
    )
    return [ConversationItem(*row) for row in connection.execute(found)]


def find_items(
    connection: sa.Connection, principal: Principal, item_ids: Sequence[str]
) -> list[ConversationItem]:
    """Return the items with these ids in any conversation, and marks of deleted ones."""
    its = conversation_items.c
    found = sa.select(its.item_id, its.position, its["item"]).where(
        its.tenant_id == principal.tenant_id, its.item_id.in_(item_ids)
    )
    return [ConversationItem(*row) for row in connection.execute(found)]


class ConversationWrites:
    """Writes of conversations and their items."""

    def __init__(self, prepare: Prepare) -> None:
        self.save = Work("conversations.save", Priority.CREATE, self._save_all)
        self.delete_item = Work("conversations.delete_item", Priority.DELETE, self._delete_items)
        self.delete = Work("conversations.delete", Priority.DELETE, self._delete_all)
        tenant = sa.bindparam("the_tenant", type_=sa.String)
        id = sa.bindparam("the_id", type_=sa.String)
        its, own, of_turns = conversations.c, conversation_items.c, turns.c
        it = (its.tenant_id == tenant, its.id == id)
        items_of_it = (own.tenant_id == tenant, own.conversation == id)
        item = (*items_of_it, own.item_id == sa.bindparam("the_item"))
        kept = own["item"].is_not(None)
        turns_of_it = (of_turns.tenant_id == tenant, of_turns.conversation == id)
        self._insert = prepare(sa.insert(conversations))
        update = sa.update(conversations).where(*it)
        self._update = prepare(update.values({"metadata": sa.bindparam("metadata")}))
        self._insert_item = prepare(sa.insert(conversation_items))
        self._remove_item = prepare(sa.delete(conversation_items).where(*item, kept))
        self._remove_mark = prepare(sa.delete(conversation_items).where(*item, ~kept))
        self._find_item = prepare(sa.select(own.item_id).where(*item, kept))
        self.deletions = (
            prepare(sa.delete(conversations).where(*it)),
            prepare(sa.delete(conversation_items).where(*items_of_it)),
            prepare(sa.update(turns).where(*turns_of_it).values({"conversation": sa.null()})),
        )

    def _save_all(self, cursor: DBAPICursor, requests: Sequence[Saved]) -> Sequence[str | None]:
        """Save each; return for each the id of an item that it has already, which prevents it."""
        return [self._save(cursor, request) for request in requests]

    def _save(self, cursor: DBAPICursor, saved: Saved) -> str | None:
        key = saved.named.key
        for item in saved.items:
            if self._find_item.first(cursor, {**key, "the_item": item.item_id}) is not None:
                return item.item_id
        row = asdict(saved.conversation)
        if not self._update.run(cursor, {**key, **row}):
            self._insert.run(cursor, {**row, "tenant_id": saved.named.tenant_id})
        for item in saved.items:
            self._remove_mark.run(cursor, {**key, "the_item": item.item_id})
            self._insert_item.run(cursor, {**saved.named.columns, **asdict(item)})
        return None

    def _delete_items(self, cursor: DBAPICursor, requests: Sequence[DeletedItem]) -> Sequence[None]:
        """Delete each item, or mark it as deleted if it belongs to a turn."""
        for request in requests:
            found = {**request.named.key, "the_item": request.item.item_id}
            if not self._remove_item.run(cursor, found):
                self._remove_mark.run(cursor, found)
                self._insert_item.run(cursor, {**request.named.columns, **asdict(request.item)})
        return [None] * len(requests)

    def _delete_all(self, cursor: DBAPICursor, requests: Sequence[Named]) -> Sequence[None]:
        """Delete each conversation with the items that clients added; its turns stay."""
        for request in requests:
            for statement in self.deletions:
                statement.run(cursor, request.key)
        return [None] * len(requests)


class ConversationRepository(Repository):
    """The conversations; every method raises `StoreUnavailable` like those of turns."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._writes = ConversationWrites(database.prepare)

    get = query(get)
    items = query(items)
    find_items = query(find_items)

    async def save(
        self,
        principal: Principal,
        conversation: Conversation,
        items: Sequence[ConversationItem] = (),
    ) -> str | None:
        """Create a conversation or update its metadata, and add items to it.

        Returns None, or, if nothing was saved, the id of an item that it has already.
        """
        named = Named(principal.tenant_id, conversation.id)
        saved = Saved(named, conversation, items)
        return await self.database.writer.submit(self._writes.save, saved)

    async def delete_item(self, principal: Principal, id: str, item: ConversationItem) -> None:
        """Delete an item that a client added, or mark an item of a turn as deleted."""
        request = DeletedItem(Named(principal.tenant_id, id), item)
        await self.database.writer.submit(self._writes.delete_item, request)

    async def delete(self, principal: Principal, id: str) -> None:
        """Delete a conversation and the items that clients added; its turns leave it."""
        await self.database.writer.submit(self._writes.delete, Named(principal.tenant_id, id))
