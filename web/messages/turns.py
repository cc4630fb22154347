"""The turns of a Messages request become the messages of a chat.

Results of tools come before the rest of what the user says, as messages of their own. Thinking that
comes back is a chat's `reasoning_content`; where it is signed or redacted only the API that signed
it takes it back, and it stands in `thinking_blocks` for that. Source: Anthropic's API reference,
"Create a message", and its page "Extended thinking".
"""

from collections.abc import Iterator, Sequence

import msgspec

from actors.providers.base import JSON
from web.messages.content import (
    Block,
    Kept,
    Part,
    blocks_in,
    content_of,
    extras,
    missing,
    part_of,
    said,
    string,
    text_of,
    unknown_type,
    wrong,
)

Message = dict[str, JSON]

_ROLES = ("user", "assistant", "system")
_ANSWERS = ("text", "tool_use", "thinking", "redacted_thinking")
_ASKS = ("text", "image", "tool_result")


def chat_of(system: JSON, messages: Sequence[JSON], kept: Kept) -> list[Message]:
    """The chat; raises `ApiError` (400) with the path of what is wrong."""
    chat: list[Message] = []
    if system is not None and (content := text_of(system, "system", kept)):
        chat.append({"role": "system", "content": content})
    for index, message in enumerate(messages):
        if _is_plain(message):
            chat.append(message)  # type: ignore[arg-type]  # it is a dict
        else:
            chat += _messages(message, f"messages[{index}]", kept)
    return chat


def _is_plain(message: JSON) -> bool:
    """As nearly all are; told in a tenth of the time."""
    return (
        type(message) is dict
        and len(message) == 2
        and type(message.get("content")) is str
        and message.get("role") in _ROLES
    )


def _messages(message: JSON, path: str, kept: Kept) -> Iterator[Message]:
    if not isinstance(message, dict):
        raise wrong(path, "must be an object.")
    role, content = message.get("role"), message.get("content")
    if role is None:
        raise missing(f"{path}.role")
    more = extras(message, ("role", "content"), path, kept)
    at = f"{path}.content"
    match role:
        case "user":
            yield from _asked(content, at, more, kept)
        case "assistant":
            yield _answered(content, at, kept) | more
        case "system":
            yield {"role": "system", "content": text_of(content, at, kept), **more}
        case _:
            raise wrong(f"{path}.role", f"must be one of {', '.join(_ROLES)}.")


def _asked(content: JSON, path: str, more: Message, kept: Kept) -> Iterator[Message]:
    results: list[Message] = []
    rest: list[Part] = []
    for at, block in blocks_in(content, path):
        if block.get("type") == "tool_result":
            results.append(_result(block, at, kept))
        elif block.get("type") in _ASKS:
            rest.append(part_of(block, at, kept))
        else:
            raise unknown_type(at, _ASKS)
    if not results and not rest:
        raise wrong(path, "must not be empty.")
    yield from results
    if rest:
        yield {"role": "user", "content": said(rest), **more}


def _result(block: Block, path: str, kept: Kept) -> Message:
    content = block.get("content")
    result: Message = {
        "role": "tool",
        "tool_call_id": string(block, "tool_use_id", path),
        "content": "" if content is None else content_of(content, f"{path}.content", kept),
    }
    failed = block.get("is_error")
    if failed not in (None, True, False):
        raise wrong(f"{path}.is_error", "must be true or false.")
    known = ("type", "tool_use_id", "content", *(() if failed else ("is_error",)))
    return result | extras(block, known, path, kept)


def _answered(content: JSON, path: str, kept: Kept) -> Message:
    parts: list[Part] = []
    calls: list[Part] = []
    thinking: list[Block] = []
    for at, block in blocks_in(content, path):
        match block.get("type"):
            case "text":
                parts.append(part_of(block, at, kept))
            case "tool_use":
                calls.append(_call(block, at, kept))
            case "thinking":
                _check_thinking(block, at)
                thinking.append(block)
            case "redacted_thinking":
                string(block, "data", at)
                thinking.append(block)
            case _:
                raise unknown_type(at, _ANSWERS)
    message: Message = {"role": "assistant", "content": said(parts) if parts or not calls else None}
    if calls:
        message["tool_calls"] = calls
    return message | _thought(thinking, kept)


def _call(block: Block, path: str, kept: Kept) -> Part:
    input = block.get("input")
    if input is None:
        raise missing(f"{path}.input")
    if not isinstance(input, dict):
        raise wrong(f"{path}.input", "must be an object.")
    arguments = msgspec.json.encode(input).decode()
    more = extras(block, ("type", "id", "name", "input", "caller"), path, kept)
    if more.keys() - {"cache_control"}:
        field = sorted(more.keys() - {"cache_control"})[0]
        raise wrong(f"{path}.{field}", "there is no such field in the calls of tools here.")
    if block.get("caller") not in (None, {"type": "direct"}):
        raise wrong(f"{path}.caller", "only the model itself may have called a tool.")
    return {
        "id": string(block, "id", path),
        "type": "function",
        "function": {"name": string(block, "name", path), "arguments": arguments},
        **more,
    }


def _check_thinking(block: Block, path: str) -> None:
    string(block, "thinking", path)
    if block.get("signature") is not None:
        string(block, "signature", path)


def _thought(thinking: list[Block], kept: Kept) -> Message:
    signed: list[JSON] = []
    told: list[str] = []
    for block in thinking:
        if block.get("signature") or "data" in block:
            signed.append(block)
        elif text := block["thinking"]:
            told.append(str(text))
    found: Message = {}
    if told:
        kept.add("reasoning_content")
        found["reasoning_content"] = "\n\n".join(told)
    if signed:
        kept.add("thinking_blocks")
        found["thinking_blocks"] = signed
    return found
