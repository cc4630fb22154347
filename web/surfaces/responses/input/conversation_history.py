"""Reads `conversation_history`, an extension with which the client sends the history itself.

Its entries are items as in `input`, or Chat Completions messages, which are converted to items.
"""

from collections.abc import Iterator

from actors.turn.model_call import JSON
from web.surfaces.responses.input.items import (
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

_CONVERTED_ROLES = ("assistant", "tool", "function")
"""Roles of chat messages that need more than a message item."""


def read_history(given: JSON) -> list[Item]:
    """Return the items of `conversation_history`; raises `ApiError` (400)."""
    return [
        item
        for index, entry in enumerate(items_at(given, PATH))
        for item in _items(entry, f"{PATH}[{index}]")
    ]


def _items(given: JSON, path: str) -> Iterator[Item]:
    role = given.get("role") if isinstance(given, dict) else None
    if not isinstance(given, dict) or "type" in given or role not in _CONVERTED_ROLES:
        yield _item(given, path)
    elif role == "assistant":
        yield from _assistant(given, path)
    else:
        yield _tool_output(given, path)


def _item(given: JSON, path: str) -> Item:
    item = read_item(given, path)
    if item["type"] == "item_reference":
        text = "must be a complete item: this history replaces the stored items."
        raise wrong(path, text, "item_not_found")
    return item


def _tool_output(given: Item, path: str) -> Item:
    content = given.get("content")
    if content is None:
        raise wrong(f"{path}.content", "field required.", "missing_required_parameter")
    call_id = string_at(given, "tool_call_id", path)
    return output_item(call_id, output_of(content, f"{path}.content"))


def _assistant(given: Item, path: str) -> Iterator[Item]:
    """Yield the reasoning, text and calls of a message, in the order in which models emit them."""
    reasoning = given.get("reasoning_content")
    if isinstance(reasoning, str) and reasoning:
        yield reasoning_item([], [{"type": "reasoning_text", "text": reasoning}])
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
