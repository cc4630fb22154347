"""Builds the fields of a message for the state of its reasoning and for citations.

Chat Completions has a field for citations only. The state of reasoning comes in the fields that
clients know from other gateways and send back: `thinking_blocks` (LiteLLM), `extra_content`
(Google) and `reasoning_details` (OpenRouter).
"""

from collections.abc import Iterable

from actors.answer.changes import GrowingItem, ItemKind
from actors.providers.formats.conversion import object_of
from actors.turn.chat_messages import (
    CALL_FIELDS,
    DETAILS,
    OF_CALL,
    SIGNED,
    add_fields,
    thinking_block,
)
from actors.turn.messages import sealed

Fields = dict[str, object]


def state_fields(text: str, api: str, state: str) -> Fields:
    """Return the fields for a piece of reasoning with its state."""
    given = object_of(state) or {}
    match api:
        case "anthropic" if given:
            return {SIGNED: [thinking_block(text, given)]}
        case "openai-chat" if SIGNED not in given:
            return {name: value for name, value in given.items() if name != OF_CALL}
        case "gemini" if given.get("part") == "functionCall":
            return {}  # the call has its own field for it
        case "gemini" if given.get("part") == "text":
            return {
                "extra_content": {"google": {"thought_signature": given.get("thoughtSignature")}}
            }
        case _:
            sealed_detail = {"type": "reasoning.encrypted", "data": sealed(api, state)}
            return {DETAILS: [sealed_detail | {"format": "unknown"}]}


def annotation_fields(annotation: str) -> Fields:
    """Return the field for a citation; Chat has citations of URLs only, so a file has one too."""
    given = object_of(annotation) or {}
    url, file = given.get("url"), given.get("file_id") or given.get("filename")
    place = given.get("index", 0)
    citation = {
        "start_index": given.get("start_index", place),
        "end_index": given.get("end_index", place),
        "url": url or file or "",
        "title": given.get("title") or given.get("filename") or "",
    }
    return {"annotations": [{"type": "url_citation", "url_citation": citation}]}


def call_fields(extras: str | None) -> Fields:
    """Return the extra fields of a tool call that clients of this API know."""
    given = (object_of(extras) if extras else None) or {}
    return {name: given[name] for name in CALL_FIELDS if name in given}


def message_fields(items: Iterable[GrowingItem]) -> Fields:
    """Return the fields for all states and citations of an answer; their lists are joined."""
    fields: Fields = {}
    for item in items:
        if item.kind is ItemKind.REASONING and item.api is not None and item.state is not None:
            add_fields(fields, state_fields(item.parts[0].text, item.api, item.state))
        for part in item.parts:
            for annotation in part.annotations:
                add_fields(fields, annotation_fields(annotation))
    return fields
