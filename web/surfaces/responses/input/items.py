"""Validates the items of a Responses request and converts them to the form that is stored.

Errors name the path in the list as it was sent, such as `input[2].content[0].type`. Source:
OpenAI's API reference, "Create a response" (`input`) and "List input items".
"""

from collections.abc import Callable

from actors.turn.messages import JSON, ImagePart, Part, RefusalPart, TextPart
from web.http.api_error import ApiError, invalid
from web.surfaces.content_parts import flat_parts
from web.surfaces.responses.input.compaction_summary import unseal

Item = dict[str, JSON]

MAX_ITEMS = 10_000
MAX_TEXTS = 1_000
"""Maximum number of texts in one reasoning item."""
LONGEST_NAME = 512
"""Maximum characters of an id or of a function name."""

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
        else read_item(item, f"input[{index}]")
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


def read_item(given: JSON, path: str) -> Item:
    """Validate and convert the item at `path`; raises `ApiError` (400)."""
    if not isinstance(given, dict):
        raise wrong(path, "must be an object.")
    kind = given.get("type")
    if kind is None:
        kind = "item_reference" if given.keys() <= {"id", "type"} and given else "message"
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is None:
        text = f"must be one of {', '.join(_READERS)}."
        raise wrong(f"{path}.type", text, "unsupported_item_type")
    return read(given, path)


def message_item(role: str, content: list[Item], status: JSON = "completed") -> Item:
    """Return a message item."""
    return {"type": "message", "role": role, "status": status, "content": content}


def text_part(role: str, text: JSON) -> Item:
    """Return a text part for a message of this role."""
    if role == "assistant":
        return {"type": "output_text", "text": text, "annotations": []}
    return {"type": "input_text", "text": text}


def call_item(call_id: str, name: str, arguments: str, status: JSON = "completed") -> Item:
    """Return a function call item."""
    return {
        "type": "function_call",
        "status": status,
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
    }


def output_item(call_id: str, output: JSON, status: JSON = "completed") -> Item:
    """Return a function call output item."""
    return {
        "type": "function_call_output",
        "status": status,
        "call_id": call_id,
        "output": output,
    }


def reasoning_item(summary: list[Item], content: list[Item]) -> Item:
    """Return a reasoning item."""
    item: Item = {"type": "reasoning", "summary": summary}
    return item | {"content": content} if content else item


def message_parts(role: str, given: JSON, path: str) -> list[Item]:
    """Return the content parts of a message of this role; raises `ApiError` (400)."""
    if isinstance(given, str):
        return [text_part(role, given)]
    return [_response_part(part, role, path) for part in flat_parts(given, path)]


def output_of(given: JSON, path: str) -> JSON:
    """Return the output of a function, a string or parts; raises `ApiError` (400)."""
    if isinstance(given, str):
        return given
    return [_response_part(part, "user", path) for part in flat_parts(given, path)]


def string_at(given: Item, field: str, path: str, *, longest: int | None = LONGEST_NAME) -> str:
    """Return a required string field; raises `ApiError` (400)."""
    path, value = f"{path}.{field}", given.get(field)
    if value is None:
        raise wrong(path, "field required.", "missing_required_parameter")
    if not isinstance(value, str):
        raise wrong(path, "must be a string.")
    if longest is not None and not 0 < len(value) <= longest:
        raise wrong(path, f"must be a string of 1 to {longest} characters.")
    return value


def wrong(path: str, words: str, code: str = "invalid_value") -> ApiError:
    """Return a 400 for an invalid value of the field at `path`."""
    return invalid(f"{path}: {words}", param=path, code=code)


def _message(given: Item, path: str) -> Item:
    role = string_at(given, "role", path)
    if role not in _ROLES:
        raise wrong(f"{path}.role", f"must be one of {', '.join(_ROLES)}.")
    if given.get("content") is None:
        raise wrong(f"{path}.content", "field required.", "missing_required_parameter")
    parts = message_parts(role, given["content"], f"{path}.content")
    return _named(given, path) | message_item(role, parts, _status(given, path))


def _call(given: Item, path: str) -> Item:
    return _named(given, path) | call_item(
        string_at(given, "call_id", path),
        string_at(given, "name", path),
        string_at(given, "arguments", path, longest=None),
        _status(given, path),
    )


def _output(given: Item, path: str) -> Item:
    if given.get("output") is None:
        raise wrong(f"{path}.output", "field required.", "missing_required_parameter")
    output = output_of(given["output"], f"{path}.output")
    call_id = string_at(given, "call_id", path)
    return _named(given, path) | output_item(call_id, output, _status(given, path))


def _reasoning(given: Item, path: str) -> Item:
    summary = _texts(given.get("summary"), "summary_text", f"{path}.summary")
    content = _texts(given.get("content"), "reasoning_text", f"{path}.content")
    item = _named(given, path) | reasoning_item(summary, content)
    if given.get("encrypted_content") is not None:
        item["encrypted_content"] = string_at(given, "encrypted_content", path, longest=None)
    return item


def _reference(given: Item, path: str) -> Item:
    return {"type": "item_reference", "id": string_at(given, "id", path)}


def _compaction(given: Item, path: str) -> Item:
    content = string_at(given, "encrypted_content", path, longest=None)
    if unseal(content) is None:
        raise wrong(f"{path}.encrypted_content", "must be that of a compaction by this server.")
    return _named(given, path) | {"type": "compaction", "encrypted_content": content}


_READERS: dict[str, Callable[[Item, str], Item]] = {
    "message": _message,
    "function_call": _call,
    "function_call_output": _output,
    "reasoning": _reasoning,
    "item_reference": _reference,
    "compaction": _compaction,
}


def _named(given: Item, path: str) -> Item:
    """Return the item's `id` as an object with one field, empty if the client sent none."""
    return {} if given.get("id") is None else {"id": string_at(given, "id", path)}


def _status(given: Item, path: str) -> str:
    status = given.get("status")
    if status is None:
        return "completed"
    if status not in _STATUSES:
        raise wrong(f"{path}.status", f"must be one of {', '.join(_STATUSES)}.")
    return str(status)


def _texts(given: JSON, kind: str, path: str) -> list[Item]:
    if given is None:
        return []
    if not isinstance(given, list) or len(given) > MAX_TEXTS:
        raise wrong(path, f"must be a list of at most {MAX_TEXTS} texts.")
    for index, part in enumerate(given):
        if not isinstance(part, dict) or part.get("type") != kind:
            raise wrong(f"{path}[{index}].type", f"must be {kind}.")
        string_at(part, "text", f"{path}[{index}]", longest=None)
    return [{"type": kind, "text": part["text"]} for part in given]


def _response_part(part: Part, role: str, path: str) -> Item:
    """Convert a chat content part to a Responses part; raises `ApiError` (400)."""
    match part:
        case TextPart(text, extras):
            return extras | text_part(role, text)
        case RefusalPart(refusal) if role == "assistant":
            return {"type": "refusal", "refusal": refusal}
        case RefusalPart(refusal):
            return text_part(role, refusal)
        case ImagePart(url, detail, extras) if role != "assistant":
            shown = {"type": "input_image", "detail": detail or "auto", "image_url": url}
            return extras | shown
    raise wrong(path, "assistant messages may only have text and refusals.", "invalid_content_part")
