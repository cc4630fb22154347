"""Serves `/v1/conversations`: conversations of responses, and their items."""

from collections import Counter

import msgspec
from msgspec.structs import replace
from quart import Blueprint, Response, request

from actors.runtime.json_pieces import encoded
from actors.turn.model_call import JSON
from store.records.ids import new_id
from store.records.turn_records import Conversation, ConversationItem, Principal
from web.http.api_error import invalid, not_found
from web.http.responses import json_response
from web.service import Service, Surface
from web.surfaces.conversations.request import read_conversation, read_items
from web.surfaces.requests import receive
from web.surfaces.responses.history.history import (
    Caller,
    conversation_not_found,
    load_conversation,
)
from web.surfaces.responses.input.items import Item
from web.surfaces.responses.input_items import page_of, requested_page, with_id
from web.turns.conversation_lock import conversation_busy


class ConversationResource:
    """The conversations of a service; every method raises `ApiError` (404) for an unknown one."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._store = service.store.conversations

    @property
    def _principal(self) -> Principal:
        return self._service.principal_of(request.headers)

    async def create(self) -> Response:
        """Create a conversation with its first items."""
        body, now = await receive(self._service, read_conversation), self._service.now()
        conversation = Conversation(new_id("conv_", now), now, _encode(body.metadata or {}))
        await self._save(conversation, body.items)
        return json_response(shown(conversation))

    async def show(self, id: str) -> Response:
        """Return the conversation object."""
        return json_response(shown(await self._find(id)))

    async def update(self, id: str) -> Response:
        """Replace the metadata."""
        body, conversation = await receive(self._service, read_conversation), await self._find(id)
        if body.metadata is not None:
            conversation = replace(conversation, metadata=_encode(body.metadata))
            await self._save(conversation, [])
        return json_response(shown(conversation))

    async def delete(self, id: str) -> Response:
        """Delete a conversation, but not its responses; raises `ApiError` (409) if one runs."""
        await self._find(id)
        service, principal = self._service, self._principal
        with service.conversations.claim(principal, id, service.registry):
            if await service.store.turns.conversation_live(principal, id):
                raise conversation_busy(id)
            await self._store.delete(principal, id)
        return json_response({"id": id, "object": "conversation.deleted", "deleted": True})

    async def list_items(self, id: str) -> Response:
        """Return the requested page of its items."""
        page = requested_page()
        return json_response(page_of(await self._items(id), page))

    async def add_items(self, id: str) -> Response:
        """Add items, and return them with their ids."""
        items, conversation = await receive(self._service, read_items), await self._find(id)
        added = await self._save(conversation, items)
        ids = [item["id"] for item in added] or [None]
        listed = {"data": added, "first_id": ids[0], "last_id": ids[-1], "has_more": False}
        return json_response({"object": "list", **listed})

    async def show_item(self, id: str, item_id: str) -> Response:
        """Return one of its items."""
        return json_response(await self._item(id, item_id))

    async def delete_item(self, id: str, item_id: str) -> Response:
        """Delete one of its items, and return the conversation object."""
        conversation = await self._find(id)
        await self._item(id, item_id)
        mark = ConversationItem(item_id, new_id("", self._service.now()), None)
        await self._store.delete_item(self._principal, id, mark)
        return json_response(shown(conversation))

    async def _find(self, id: str) -> Conversation:
        found = await self._store.get(self._principal, id)
        if found is None:
            raise conversation_not_found(id)
        return found

    async def _save(self, conversation: Conversation, items: list[Item]) -> list[Item]:
        """Create or update a conversation, add the items, and return them with their ids."""
        bare = new_id("", self._service.now())
        added = [with_id(item, bare, index) for index, item in enumerate(items)]
        ids = [str(item["id"]) for item in added]
        rows = [
            ConversationItem(id, f"{bare}_{index:05}", _encode(item))
            for index, (id, item) in enumerate(zip(ids, added, strict=True))
        ]
        repeated = next((id for id, count in Counter(ids).items() if count > 1), None)
        repeated = repeated or await self._store.save(self._principal, conversation, rows)
        if repeated is not None:
            text = f"items: the conversation has an item {repeated[:100]!r} already. Add it once."
            raise invalid(text, param="items", code="duplicate_item")
        return added

    async def _items(self, id: str) -> list[Item]:
        """Return its items, those of ended responses too, oldest first."""
        await self._find(id)
        history = await load_conversation(Caller(self._service, self._principal), id)
        return history.chain.items

    async def _item(self, id: str, item_id: str) -> Item:
        for item in await self._items(id):
            if item["id"] == item_id:
                return item
        text = f"There is no item {item_id[:100]!r} in this conversation."
        raise not_found(text, code="item_not_found")


def conversation_routes(service: Service) -> Blueprint:
    """Return the blueprint of the conversations."""
    blueprint = Blueprint("conversations", __name__)
    resource = ConversationResource(service)
    one = "/v1/conversations/<id>"
    blueprint.post("/v1/conversations")(resource.create)
    blueprint.get(one)(resource.show)
    blueprint.post(one)(resource.update)
    blueprint.delete(one)(resource.delete)
    blueprint.get(f"{one}/items")(resource.list_items)
    blueprint.post(f"{one}/items")(resource.add_items)
    blueprint.get(f"{one}/items/<item_id>")(resource.show_item)
    blueprint.delete(f"{one}/items/<item_id>")(resource.delete_item)
    return blueprint


def _encode(value: JSON) -> str:
    return encoded(value).decode()


def shown(conversation: Conversation) -> dict[str, object]:
    """Return the conversation object."""
    return {
        "id": conversation.id,
        "object": "conversation",
        "created_at": int(conversation.created_at),
        "metadata": msgspec.Raw(conversation.metadata.encode()),
    }


SURFACE = Surface(conversation_routes)
