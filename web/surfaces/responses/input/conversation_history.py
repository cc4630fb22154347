"""Reads `conversation_history`, an extension with which the client sends the history itself.

Its entries are items as in `input`, or Chat Completions messages, which are converted to items.
"""

from collections.abc import Iterator

from actors.turn.model_call import JSON
from web.dialects.openai_responses.items import call_item
from web.surfaces.responses.input import items
from web.surfaces.responses.input.items import Item
from web.surfaces.validation import LONGEST_NAME, Fields, missing, wrong

PATH = "conversation_history"


def read_history(given: JSON) -> list[Item]:
    """Return the items of `conversation_history`; raises `ApiError` (400)."""
    return [
        item
        for index, entry in enumerate(items.items_at(given, PATH))
        for item in _items(Fields(entry, f"{PATH}[{index}]"))
    ]


def _items(given: Fields) -> Iterator[Item]:
    """Yield the items of an entry; only two roles of chat messages need more than a message."""
    match given.values:
        case {"role": "assistant"} if "type" not in given.values:
            yield from _assistant(given)
        case {"role": "tool" | "function"} if "type" not in given.values:
            output = items.output_of(given, "content")
            yield items.output_item(
                given.text("tool_call_id", longest=items.LONGEST_CALL_ID), output
            )
        case _:
            yield _item(given)


def _item(given: Fields) -> Item:
    item = items.read_item(given)
    if item["type"] == "item_reference":
        text = "must be a complete item: this history replaces the stored items."
        raise wrong(given.path, text, "item_not_found")
    return item


def _assistant(given: Fields) -> Iterator[Item]:
    """Yield the reasoning, text and calls of a message, in the order in which models emit them."""
    reasoning, refusal = given.values.get("reasoning_content"), given.values.get("refusal")
    if isinstance(reasoning, str) and reasoning:
        yield items.reasoning_item([], [{"type": "reasoning_text", "text": reasoning}])
    has_content = given.values.get("content") is not None
    parts = items.message_parts("assistant", given) if has_content else []
    if isinstance(refusal, str) and refusal:
        parts.append({"type": "refusal", "refusal": refusal})
    calls = [_call(call) for call in given.objects("tool_calls")]
    if parts:
        yield items.message_item("assistant", parts)
    elif not calls:
        raise missing(given.at("content"))
    yield from calls


def _call(given: Fields) -> Item:
    function = given.child(given.values.get("function"), given.at("function"))
    return call_item(
        given.text("id", longest=LONGEST_NAME),
        function.text("name", longest=LONGEST_NAME),
        function.text("arguments"),
    )
