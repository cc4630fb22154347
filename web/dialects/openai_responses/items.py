"""Builds the output items of a response, and the ids of items and responses.

Reasoning is sent as a *summary* of one part. Upstream formats don't say whether their reasoning is
the original or a summary. OpenAI's API sends a summary, and nearly every client reads that form. It
is also the only form whose events have the same names in OpenAI's reference and in the Open
Responses specification.
"""

import re
from collections.abc import Sequence

import msgspec
from msgspec import Raw

from actors.answer import items
from actors.answer.changes import ItemKind, ItemStatus, PartKind
from actors.providers.formats.conversion import object_of
from actors.providers.formats.openai_responses.frames import API, CALL_EXTRAS
from actors.turn.messages import sealed
from actors.turn.model_call import JSON
from store.records.turn_records import Role
from web.dialects.openai_responses.logprobs import EncodedLogprobs

Fields = dict[str, object]

_NONE = Raw(b"[]")
_ID_PREFIXES = {
    ItemKind.REASONING: "rs",
    ItemKind.MESSAGE: "msg",
    ItemKind.FUNCTION_CALL: "fc",
    ItemKind.CUSTOM_CALL: "ctc",
    ItemKind.NATIVE: "item",
}

_PLACE = re.compile(r"[a-z]{2,5}_(.+?)_(in_)?\d+")
_BARE_ID = re.compile(r"[0-9a-z]{26}")


def response_id(turn_id: str) -> str:
    """Return the id of the response of a turn."""
    return "resp_" + turn_id.removeprefix("turn_")


def turn_id_of(response_id: str) -> str | None:
    """Return the turn id in a response id, or None if it is not a response id."""
    bare = response_id.removeprefix("resp_")
    return None if bare == response_id else "turn_" + bare


def item_id(turn_id: str, kind: ItemKind, index: int) -> str:
    """Return the id of the output item at this index of the turn's answer."""
    return f"{_ID_PREFIXES[kind]}_{turn_id.removeprefix('turn_')}_{index}"


def place_of(item_id: str) -> tuple[str, Role] | None:
    """Return the turn that an item's id names, and which of its lists; None for other ids."""
    found = _PLACE.fullmatch(item_id)
    return found and ("turn_" + found[1], "input" if found[2] else "assistant")


def is_ours(item_id: str) -> bool:
    """Return True if the id has the form of those that this server makes."""
    found = _PLACE.fullmatch(item_id)
    return found is not None and _BARE_ID.fullmatch(found[1]) is not None


def output_items(turn_id: str, answer: Sequence[items.Item]) -> list[Fields]:
    """Return the items of a turn's answer as the `output` of its response."""
    return [_item(turn_id, item, index) for index, item in enumerate(answer) if _is_shown(item)]


def _is_shown(item: items.Item) -> bool:
    return not isinstance(item, items.NativeItem) or item.api == API


def _item(turn_id: str, item: items.Item, index: int) -> Fields:
    match item:
        case items.ReasoningItem(text=text, api=api, state=state):
            id = item_id(turn_id, ItemKind.REASONING, index)
            summary = [part_fields(PartKind.REASONING, text)] if text or state is None else []
            return reasoning_fields(id, item.status, summary, api, state)
        case items.MessageItem(parts=parts, phase=phase):
            id = item_id(turn_id, ItemKind.MESSAGE, index)
            return message_fields(id, item.status, [_message_part(part) for part in parts], phase)
        case items.FunctionCallItem():
            id = item_id(turn_id, ItemKind.FUNCTION_CALL, index)
            call = call_item(item.call_id, item.name, item.arguments, item.status)
            return {"id": id, **call, **call_extras(item.extras)}
        case items.CustomCallItem():
            id = item_id(turn_id, ItemKind.CUSTOM_CALL, index)
            call = custom_call_item(item.call_id, item.name, item.input, item.status)
            return {"id": id, **call, **call_extras(item.extras)}
        case items.NativeItem():
            return native_fields(item_id(turn_id, ItemKind.NATIVE, index), item.item)


def _message_part(part: items.MessagePart) -> Fields:
    if isinstance(part, items.TextPart):
        logprobs = EncodedLogprobs(part.logprobs).in_part if part.logprobs else _NONE
        return part_fields(PartKind.TEXT, part.text, logprobs, part.annotations)
    return part_fields(PartKind.REFUSAL, part.refusal)


def reasoning_fields(
    id: str,
    status: ItemStatus,
    summary: Sequence[object],
    api: str | None = None,
    state: str | None = None,
) -> Fields:
    """Return a reasoning item whose summary has these parts, with the state for its API."""
    item: Fields = {"id": id, "type": "reasoning", "status": status, "summary": summary}
    if api is None or state is None:
        return item
    given = (object_of(state) or {}).get("encrypted_content") if api == API else None
    return item | {"encrypted_content": given or sealed(api, state)}


def message_fields(
    id: str, status: ItemStatus, content: Sequence[object], phase: str | None = None
) -> Fields:
    """Return an assistant message with these parts."""
    fields: Fields = {
        "id": id,
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": content,
    }
    return fields | {"phase": phase} if phase else fields


def call_item(
    call_id: str, name: str, arguments: str, status: str = "completed"
) -> dict[str, JSON]:
    """Return a function call item without its id, as it is in requests and responses."""
    return {
        "type": "function_call",
        "status": status,
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
    }


def custom_call_item(
    call_id: str, name: str, input: str, status: str = "completed"
) -> dict[str, JSON]:
    """Return a custom tool call item without its id, as it is in requests and responses."""
    return {
        "type": "custom_tool_call",
        "status": status,
        "call_id": call_id,
        "name": name,
        "input": input,
    }


def native_fields(id: str, native: str) -> Fields:
    """Return an item of a provider, with our id if it has none.

    Its own id stays, because later items may refer to it, such as the answer to a request for
    approval.
    """
    fields: Fields = msgspec.json.decode(native)
    return fields if isinstance(fields.get("id"), str) else {**fields, "id": id}


def call_extras(extras: str | None) -> Fields:
    """Return those of a call's extra fields that this API has."""
    fields: Fields = msgspec.json.decode(extras) if extras else {}
    return {name: fields[name] for name in CALL_EXTRAS if name in fields}


def part_fields(
    kind: PartKind, text: str, logprobs: Raw = _NONE, annotations: Sequence[str] = ()
) -> Fields:
    """Return a part of a message or a summary.

    `logprobs` come from `EncodedLogprobs.in_part`; only a text has them.
    """
    match kind:
        case PartKind.REFUSAL:
            return {"type": "refusal", "refusal": text}
        case PartKind.REASONING:
            return {"type": "summary_text", "text": text}
        case _:
            cited = list(map(annotation_fields, annotations))
            return {"type": "output_text", "text": text, "annotations": cited, "logprobs": logprobs}


def annotation_fields(annotation: str) -> Fields:
    """Return a citation without the original of a provider with another API."""
    given = object_of(annotation) or {}
    return {name: value for name, value in given.items() if name != "native"}
