"""Validates the items of a Responses request and converts them to the form that is stored.

Errors name the path in the list as it was sent, such as `input[2].content[0].type`. Source:
OpenAI's API reference, "Create a response" (`input`) and "List input items".
"""

from collections.abc import Callable

from actors.providers.formats.openai_responses.input_items import media_part
from actors.providers.formats.tool_history import is_blank
from actors.turn.messages import (
    JSON,
    AudioPart,
    FilePart,
    ImagePart,
    Part,
    RefusalPart,
    TextPart,
    VideoPart,
)
from web.dialects.openai_responses.items import call_item, custom_call_item
from web.surfaces.content_parts import flat_parts
from web.surfaces.responses.input.compaction_summary import MARK, unseal
from web.surfaces.responses.input.tools import MAX_TOOLS, check_tool
from web.surfaces.validation import LONGEST_NAME, Fields, missing, wrong

Item = dict[str, JSON]
"""An item as OpenAI's API has it; it is stored and listed in this form."""

REFERENCE = "item_reference"
MAX_ITEMS = 10_000
LONGEST_CALL_ID = 16_384
"""Maximum characters of a call's id; those of LiteLLM have a signature in them."""
MAX_TEXTS = 1_000
"""Maximum number of texts in one reasoning item."""

_ROLES = ("user", "assistant", "system", "developer")
_STATUSES = ("in_progress", "completed", "incomplete")


def read_input(given: JSON) -> list[Item]:
    """Return the items of `input`, which is a string or a list; raises `ApiError` (400)."""
    if isinstance(given, str):
        return [message_item("user", [text_part("user", given)])]
    items = [
        message_item(item["role"], [text_part(item["role"], item["content"])])
        # Fast path: many items look like this, and the check takes a tenth of the time.
        if (
            type(item) is dict
            and len(item) == 2
            and type(item.get("content")) is str
            and item.get("role") in _ROLES
        )
        else read_item(Fields(item, f"input[{index}]"))
        for index, item in enumerate(items_at(given, "input"))
    ]
    _check_ids(items)
    return items


def _check_ids(items: list[Item]) -> None:
    """Raise `ApiError` (400) for a repeated id, since references find items by id."""
    seen: set[JSON] = set()
    for index, item in enumerate(items):
        if "id" not in item or item["type"] == "item_reference":
            continue
        if item["id"] in seen:
            text = f"{str(item['id'])[:100]!r} is also the id of an earlier item. Send it once."
            raise wrong(f"input[{index}].id", text, "duplicate_item")
        seen.add(item["id"])


def items_at(given: JSON, path: str) -> list[JSON]:
    """Return `given` if it is a list of valid length; raises `ApiError` (400)."""
    if not isinstance(given, list):
        text = "a string or a list of items" if path == "input" else "a list of messages or items"
        raise wrong(path, f"must be {text}.")
    if len(given) > MAX_ITEMS:
        raise wrong(path, f"may have at most {MAX_ITEMS} items.")
    return given


def read_item(given: Fields) -> Item:
    """Validate and convert an item; raises `ApiError` (400).

    Items of a type without a reader, and fields that no reader knows, stay as they are: only
    providers of this API know them.
    """
    kind = given.values.get("type")
    if kind is None:
        is_reference = given.values and given.values.keys() <= {"id", "type"}
        kind = "item_reference" if is_reference else "message"
    if not isinstance(kind, str) or not 0 < len(kind) <= LONGEST_NAME:
        raise given.wrong("type", f"must be a string of 1 to {LONGEST_NAME} characters.")
    read = _READERS.get(kind)
    item = {"type": kind} if read is None else read(given)
    if given.values.get("id") is not None:
        item = {"id": given.text("id", longest=LONGEST_NAME), **item}
    # A chat message of `conversation_history` may have a name, which items don't have.
    others = given.rest("id", *(["name"] if kind == "message" else []), *item)
    return item | {name: value for name, value in others.items() if value is not None}


def message_item(role: str, content: list[Item], status: JSON = "completed") -> Item:
    """Return a message item."""
    return {"type": "message", "role": role, "status": status, "content": content}


def text_part(role: str, text: JSON) -> Item:
    """Return a text part for a message of this role."""
    if role == "assistant":
        return {"type": "output_text", "text": text, "annotations": []}
    return {"type": "input_text", "text": text}


def output_item(
    call_id: str, output: JSON, status: JSON = "completed", type: str = "function_call_output"
) -> Item:
    """Return the output item of a call."""
    return {
        "type": type,
        "status": status,
        "call_id": call_id,
        "output": output,
    }


def reasoning_item(summary: list[Item], content: list[Item]) -> Item:
    """Return a reasoning item."""
    item: Item = {"type": "reasoning", "summary": summary}
    return item | {"content": content} if content else item


def message_parts(role: str, given: Fields) -> list[Item]:
    """Return the parts in the `content` of a message of this role; raises `ApiError` (400)."""
    content, path = given.required("content"), given.at("content")
    if isinstance(content, str):
        return [text_part(role, content)]
    return [_response_part(part, role, path) for part in flat_parts(content, path)]


def output_of(given: Fields, name: str) -> JSON:
    """Return the output of a function, a string or parts; raises `ApiError` (400)."""
    output, path = given.required(name), given.at(name)
    if isinstance(output, str):
        return output
    return [_response_part(part, "user", path) for part in flat_parts(output, path)]


def _message(given: Fields) -> Item:
    role = given.one_of("role", _ROLES)
    if role is None:
        raise missing(given.at("role"))
    return message_item(role, message_parts(role, given), _status(given))


def _call(given: Fields) -> Item:
    arguments = given.text("arguments")
    return call_item(
        given.text("call_id", longest=LONGEST_CALL_ID),
        given.text("name", longest=LONGEST_NAME),
        "{}" if is_blank(arguments) else arguments,
        _status(given),
    )


def _custom_call(given: Fields) -> Item:
    return custom_call_item(
        given.text("call_id", longest=LONGEST_CALL_ID),
        given.text("name", longest=LONGEST_NAME),
        given.text("input"),
        _status(given),
    )


def _output(given: Fields) -> Item:
    output, type = output_of(given, "output"), str(given.values["type"])
    return output_item(given.text("call_id", longest=LONGEST_CALL_ID), output, _status(given), type)


def _brought_tools(given: Fields) -> Item:
    tools = [*given.objects("tools")]
    if len(tools) > MAX_TOOLS:
        raise given.wrong("tools", f"may have at most {MAX_TOOLS} tools.")
    for tool in tools:
        check_tool(tool)
    return {"type": given.values["type"], "tools": [tool.values for tool in tools]}


def _reasoning(given: Fields) -> Item:
    summary = _texts(given, "summary", "summary_text")
    item = reasoning_item(summary, _texts(given, "content", "reasoning_text"))
    if given.values.get("encrypted_content") is not None:
        item["encrypted_content"] = given.text("encrypted_content")
    return item


def _reference(given: Fields) -> Item:
    return {"type": "item_reference", "id": given.required("id")}


def _compaction(given: Fields) -> Item:
    content = given.text("encrypted_content")
    if content.startswith(MARK) and unseal(content) is None:
        raise given.wrong("encrypted_content", "must be that of a compaction by this server.")
    return {"type": "compaction", "encrypted_content": content}


_READERS: dict[str, Callable[[Fields], Item]] = {
    "message": _message,
    "function_call": _call,
    "function_call_output": _output,
    "custom_tool_call": _custom_call,
    "custom_tool_call_output": _output,
    "additional_tools": _brought_tools,
    "tool_search_output": _brought_tools,
    "reasoning": _reasoning,
    "item_reference": _reference,
    "compaction": _compaction,
}


def _status(given: Fields) -> str:
    return given.one_of("status", _STATUSES) or "completed"


def _texts(given: Fields, name: str, kind: str) -> list[Item]:
    texts = given.optional(name, list, "a list of texts") or []
    if len(texts) > MAX_TEXTS:
        raise given.wrong(name, f"may have at most {MAX_TEXTS} texts.")
    return [_text(part, kind, f"{given.at(name)}[{index}]") for index, part in enumerate(texts)]


def _text(part: JSON, kind: str, path: str) -> Item:
    if not isinstance(part, dict) or part.get("type") != kind:
        raise wrong(f"{path}.type", f"must be {kind}.")
    return {"type": kind, "text": Fields(part, path).text("text")}


def _response_part(part: Part, role: str, path: str) -> Item:
    """Convert a content part to a Responses part; raises `ApiError` (400)."""
    match part:
        case TextPart(text, extras):
            return extras | text_part(role, text)
        case RefusalPart(refusal) if role == "assistant":
            return {"type": "refusal", "refusal": refusal}
        case RefusalPart(refusal):
            return text_part(role, refusal)
        case ImagePart() | FilePart() | AudioPart() | VideoPart() if role != "assistant":
            return part.extras | media_part(part)
    raise wrong(path, "assistant messages may only have text and refusals.", "invalid_content_part")
