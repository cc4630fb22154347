"""`conversation_history`, our extension: a history that the client brings itself.

It may be items, as in `input`, or chat messages as Chat Completions has them, which become items.
"""

from collections.abc import Iterator

from actors.providers.base import JSON
from web.responses.items import (
    Item,
    call_item,
    items_at,
    message_item,
    message_parts,
    output_item,
    output_of,
    read_item,
    reasoning_item,
    string_at,
    wrong,
)

PATH = "conversation_history"

_OF_CHATS = ("assistant", "tool", "function")
"""Roles of chat messages that have more to say than a message item has."""


def read_history(given: JSON) -> list[Item]:
    """The items of `conversation_history`; raises `ApiError` (400)."""
    return [
        item
        for index, entry in enumerate(items_at(given, PATH))
        for item in _items(entry, f"{PATH}[{index}]")
    ]


def _items(given: JSON, path: str) -> Iterator[Item]:
    role = given.get("role") if isinstance(given, dict) else None
    if not isinstance(given, dict) or "type" in given or role not in _OF_CHATS:
        yield _item(given, path)
    elif role == "assistant":
        yield from _assistant(given, path)
    else:
        yield _tool_output(given, path)


def _item(given: JSON, path: str) -> Item:
    item = read_item(given, path)
    if item["type"] == "item_reference":
        text = "must be an item itself: there is no other history that it could be of."
        raise wrong(path, text, "item_not_found")
    return item


def _tool_output(given: Item, path: str) -> Item:
    content = given.get("content")
    if content is None:
        raise wrong(f"{path}.content", "field required.", "missing_required_parameter")
    call_id = string_at(given, "tool_call_id", path)
    return output_item(call_id, output_of(content, f"{path}.content"))


def _assistant(given: Item, path: str) -> Iterator[Item]:
    """Thoughts, text and calls, in the order in which a model says them."""
    thought = given.get("reasoning_content")
    if isinstance(thought, str) and thought:
        yield reasoning_item([], [{"type": "reasoning_text", "text": thought}])
    content, refusal = given.get("content"), given.get("refusal")
    parts = [] if content is None else message_parts("assistant", content, f"{path}.content")
    if isinstance(refusal, str) and refusal:
        parts.append({"type": "refusal", "refusal": refusal})
    calls = _calls(given.get("tool_calls"), f"{path}.tool_calls")
    if parts:
        yield message_item("assistant", parts)
    elif not calls:
        raise wrong(f"{path}.content", "field required.", "missing_required_parameter")
    yield from calls


def _calls(given: JSON, path: str) -> list[Item]:
    if given is None:
        return []
    if not isinstance(given, list):
        raise wrong(path, "must be a list of tool calls.")
    return [_call(call, f"{path}[{index}]") for index, call in enumerate(given)]


def _call(given: JSON, path: str) -> Item:
    if not isinstance(given, dict):
        raise wrong(path, "must be an object.")
    function = given.get("function")
    if not isinstance(function, dict):
        raise wrong(f"{path}.function", "must be an object.")
    return call_item(
        string_at(given, "id", path),
        string_at(function, "name", f"{path}.function"),
        string_at(function, "arguments", f"{path}.function", longest=None),
    )
