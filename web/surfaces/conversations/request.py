"""Validates the bodies of conversations. Source: OpenAI's API reference, "Conversations"."""

from msgspec import Struct

from actors.turn.model_call import JSON
from web.http.validation_errors import validated
from web.surfaces.responses.input.items import REFERENCE, Item, items_at, read_item
from web.surfaces.responses.request import Metadata, check_metadata
from web.surfaces.validation import Fields, Object, Parameters, missing, wrong


class ConversationRequest(Struct, frozen=True):
    """The contents of a body."""

    items: list[Item]
    metadata: dict[str, str] | None
    """None if the body has none, so that the metadata stays."""


class _Body(Parameters):
    items: list[JSON] | None = None
    metadata: Metadata | None = None


def read_conversation(raw: Object) -> ConversationRequest:
    """Return the contents of a body that creates or updates a conversation.

    Raises `ApiError` (400).
    """
    body = validated(_Body, raw)
    check_metadata(body.metadata)
    given = items_at(body.items or [], "items")
    items = [_item(Fields(item, f"items[{index}]")) for index, item in enumerate(given)]
    return ConversationRequest(items, body.metadata)


def read_items(raw: Object) -> list[Item]:
    """Return the items of a body that adds some; raises `ApiError` (400)."""
    if raw.get("items") is None:
        raise missing("items")
    return read_conversation(raw).items


def _item(given: Fields) -> Item:
    item = read_item(given)
    if item["type"] == REFERENCE:
        raise wrong(given.path, "must be a complete item.", "item_not_found")
    return item
