"""Builds the fields of blocks for signed thinking, citations and blocks of the API itself.

The state of another API's reasoning, and a citation by another API, come in the fields that this
API has for its own: sealed, or marked by an empty `encrypted_index`.
"""

import msgspec
from msgspec import Raw, Struct

from actors.answer.items import Item, ReasoningItem
from actors.providers.formats.conversion import object_of
from actors.turn.chat_messages import THINKING_API, thinking_block
from actors.turn.messages import JSON, sealed


def thinking_fields(text: str, api: str | None, state: str | None) -> dict[str, JSON]:
    """Return the block of a piece of reasoning; without a state its signature is empty."""
    if api is None or state is None:
        return {"type": "thinking", "thinking": text, "signature": ""}
    if api == THINKING_API:
        return thinking_block(text, object_of(state) or {})
    name = "signature" if text else "data"
    return thinking_block(text, {name: sealed(api, state)})


def is_state_alone(item: Item) -> bool:
    """Return whether an item is nothing but the state of another API's reasoning."""
    if not isinstance(item, ReasoningItem) or item.text:
        return False
    return item.state is not None and item.api != THINKING_API


def call_extras(extras: str | None) -> dict[str, JSON]:
    """Return the extra fields of a call that this API has, such as the tool that made it."""
    match object_of(extras) if extras else None:
        case {"anthropic": dict(fields)}:
            return fields
        case _:
            return {}


def without_input(native: str) -> dict[str, JSON]:
    """Return a block of this API as it begins: the input of a tool follows in a delta."""
    block = object_of(native) or {}
    return block | {"input": {}} if block.get("input") else block


def native_input(native: str) -> str:
    """Return the input in a block of this API as JSON, or "" if there is none."""
    given = (object_of(native) or {}).get("input")
    return msgspec.json.encode(given).decode() if given else ""


class _Native(Struct):
    api: str
    citation: Raw


class _Annotation(Struct):
    """A citation in the form of the Responses API, with the original of a provider."""

    type: str = ""
    url: str = ""
    title: str = ""
    file_id: str = ""
    filename: str = ""
    start_index: int = 0
    end_index: int = 0
    native: _Native | None = None


def citation_of(annotation: str, text: str) -> object:
    """Return the API's citation for an annotation of a text."""
    try:
        given = msgspec.json.decode(annotation, type=_Annotation)
    except msgspec.DecodeError:
        given = _Annotation()
    if given.native is not None and given.native.api == THINKING_API:
        return given.native.citation
    return {
        "type": "web_search_result_location",
        "url": given.url or given.file_id,
        "title": given.title or given.filename,
        "encrypted_index": "",
        "cited_text": text[given.start_index : given.end_index],
    }
