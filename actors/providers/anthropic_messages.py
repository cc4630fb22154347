"""Chat messages as `system` and `messages` of Anthropic's Messages API.

Rules from the API reference, "Create a message", and its errors: turns alternate, no text block is
blank, an id of a tool call has letters, digits, `_` and `-`, and the last assistant message, which
is to be continued, does not end in white space.
"""

import re
from collections.abc import Iterator, Sequence

import msgspec

from actors.providers.base import JSON
from actors.providers.neutral import data_url

Block = dict[str, JSON]

_ODD = re.compile(r"[^A-Za-z0-9_-]")
_MEDIA = {
    "image/jpeg": "image/jpeg",
    "image/jpg": "image/jpeg",
    "image/png": "image/png",
    "image/gif": "image/gif",
    "image/webp": "image/webp",
}
_PARTS = {
    "system": frozenset({"text"}),
    "user": frozenset({"text", "image_url"}),
    "assistant": frozenset({"text", "refusal"}),
    "tool": frozenset({"text", "image_url"}),
}
"""Types of content parts that there is a block for, by the role of their message."""
_FIELDS = {
    "system": frozenset({"role", "content", "cache_control"}),
    "user": frozenset({"role", "content", "cache_control"}),
    "assistant": frozenset(
        {
            "role",
            "content",
            "cache_control",
            "refusal",
            "tool_calls",
            "reasoning",
            "reasoning_content",
        }
    ),
    "tool": frozenset({"role", "content", "cache_control", "tool_call_id", "is_error", "name"}),
}
"""Fields that are looked at, and thinking, which comes back only with its signature."""


class Conversation(msgspec.Struct, frozen=True):
    """A chat, in the API's shape."""

    system: list[Block]
    turns: list[dict[str, JSON]]

    @property
    def prefilled(self) -> bool:
        """The last message is the assistant's, to be continued."""
        return bool(self.turns) and self.turns[-1]["role"] == "assistant"

    @property
    def within_tool_loop(self) -> bool:
        """Tools' results are the last that was said."""
        return bool(self.turns) and _blocks_of(self.turns[-1])[0].get("type") == "tool_result"


def conversation(messages: Sequence[dict[str, JSON]], left_out: list[str]) -> Conversation:
    """The chat in the API's shape; paths of what it has no place for go to `left_out`."""
    system: list[Block] = []
    turns: list[dict[str, JSON]] = []
    for index, message in enumerate(messages):
        path = f"messages[{index}]"
        role = "system" if message.get("role") == "developer" else message.get("role")
        if not isinstance(role, str) or role not in _FIELDS:
            left_out.append(path)
            continue
        note_rest(message, _FIELDS[role], path, left_out)
        blocks = _marked(_said(role, message, path, left_out), message)
        if role == "system":
            system += blocks
        elif blocks:
            _append(turns, "assistant" if role == "assistant" else "user", blocks)
    _trim_prefill(turns)
    return Conversation(system, turns)


def note_rest(
    value: dict[str, JSON], known: frozenset[str], path: str, left_out: list[str]
) -> None:
    """Note the fields of `value` that say something and are not known."""
    left_out += [f"{path}.{key}" for key in value if key not in known and value[key]]


def _said(role: str, message: dict[str, JSON], path: str, left_out: list[str]) -> list[Block]:
    content = message.get("content")
    blocks = list(_content(content, _PARTS[role], f"{path}.content", left_out))
    if role == "tool":
        return list(_result(message, content, blocks, path, left_out))
    if role == "assistant":
        if isinstance(refusal := message.get("refusal"), str):
            blocks += _text(refusal)
        blocks += _tool_uses(message.get("tool_calls"), f"{path}.tool_calls", left_out)
    return blocks


def _append(turns: list[dict[str, JSON]], role: str, blocks: list[Block]) -> None:
    if turns and turns[-1]["role"] == role:
        blocks = [*_blocks_of(turns.pop()), *blocks]
    turns.append({"role": role, "content": blocks})


def _blocks_of(turn: dict[str, JSON]) -> list[Block]:
    content = turn["content"]
    return content if isinstance(content, list) else []


def _trim_prefill(turns: list[dict[str, JSON]]) -> None:
    if not turns or turns[-1]["role"] != "assistant":
        return
    last = _blocks_of(turns[-1])[-1]
    if isinstance(text := last.get("text"), str):
        last["text"] = text.rstrip()


def _marked(blocks: list[Block], message: dict[str, JSON]) -> list[Block]:
    """`cache_control` of a message marks its last block."""
    if blocks and message.get("cache_control"):
        blocks[-1].setdefault("cache_control", message["cache_control"])
    return blocks


def _content(
    content: JSON, types: frozenset[str], path: str, left_out: list[str]
) -> Iterator[Block]:
    if isinstance(content, str):
        yield from _text(content)
    elif isinstance(content, list):
        for index, part in enumerate(content):
            at = f"{path}[{index}]"
            if isinstance(part, dict) and part.get("type") in types:
                yield from _part(part, at, left_out)
            else:
                left_out.append(at)


def _part(part: dict[str, JSON], path: str, left_out: list[str]) -> Iterator[Block]:
    kind = str(part["type"])
    note_rest(part, frozenset({"type", kind, "cache_control"}), path, left_out)
    blocks = list(_block(kind, part.get(kind), path, left_out))
    yield from _marked(blocks, part)


def _block(kind: str, value: JSON, path: str, left_out: list[str]) -> Iterator[Block]:
    if kind == "image_url":
        yield from _image(value, path, left_out)
    elif isinstance(value, str):
        yield from _text(value)
    else:
        left_out.append(path)


def _text(text: str) -> Iterator[Block]:
    """A block of text; the API refuses a blank one, which says nothing either."""
    if text.strip():
        yield {"type": "text", "text": text}


def _image(value: JSON, path: str, left_out: list[str]) -> Iterator[Block]:
    image = value if isinstance(value, dict) else {"url": value}
    source = _source(image.get("url"))
    if source is None:
        left_out.append(path)
        return
    if image.get("detail") not in (None, "auto"):
        left_out.append(f"{path}.image_url.detail")
    yield {"type": "image", "source": source}


def _source(url: JSON) -> Block | None:
    if not isinstance(url, str):
        return None
    if url[:8].lower().startswith(("http://", "https://")):
        return {"type": "url", "url": url}
    media, data = data_url(url) or ("", "")
    if media not in _MEDIA:
        return None
    return {"type": "base64", "media_type": _MEDIA[media], "data": data}


def _tool_uses(calls: JSON, path: str, left_out: list[str]) -> Iterator[Block]:
    for index, call in enumerate(calls if isinstance(calls, list) else ()):
        at = f"{path}[{index}]"
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            left_out.append(at)
            continue
        arguments = _input(function.get("arguments"))
        if arguments is None:
            left_out.append(f"{at}.function.arguments")
        block = {
            "type": "tool_use",
            "id": _id(call.get("id")),
            "name": function["name"],
            "input": arguments or {},
        }
        yield from _marked([block], call)


def _result(
    message: dict[str, JSON],
    content: JSON,
    blocks: list[Block],
    path: str,
    left_out: list[str],
) -> Iterator[Block]:
    if not isinstance(message.get("tool_call_id"), str):
        left_out.append(path)
        return
    result: Block = {"type": "tool_result", "tool_use_id": _id(message["tool_call_id"])}
    if blocks:
        result["content"] = content if isinstance(content, str) else blocks
    if message.get("is_error") is True:
        result["is_error"] = True
    yield result


def _id(id: JSON) -> str:
    """The same for a call and its result; other providers' ids may have dots and colons."""
    return _ODD.sub("_", str(id)) or "_"


def _input(arguments: JSON) -> JSON:
    """The arguments as a JSON object; None where they are none."""
    if arguments is None or isinstance(arguments, dict):
        return arguments or {}
    if not isinstance(arguments, str):
        return None
    if not arguments.strip():
        return {}
    try:
        msgspec.json.decode(arguments, type=dict[str, JSON])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return msgspec.Raw(arguments.encode())
