"""Reads the system prompt and the messages of a Messages request with their content blocks.

Tool results become messages of their own, placed before the rest of the user message. Source:
Anthropic's API reference, "Create a message", and its page "Extended thinking".
"""

from collections.abc import Iterator, Sequence

import msgspec
from msgspec.structs import replace

from actors.providers.formats.anthropic.fields import CALL_FIELDS
from actors.turn import messages
from actors.turn.chat_messages import REASONING, THINKING_API, read_thinking_block
from actors.turn.messages import (
    JSON,
    Extras,
    Message,
    Part,
    Reasoning,
    ToolCall,
)
from web.surfaces.content_parts import (
    joined,
    plain_message,
)
from web.surfaces.messages.blocks import PARTS, Block, part_of, unknown_type

_ROLES = ("user", "assistant", "system")
_ASSISTANT_BLOCKS = ("text", "tool_use", "thinking", "redacted_thinking")
_TOOL_CHANGES = ("tool_addition", "tool_removal")
_USER_BLOCKS = (*PARTS, *_TOOL_CHANGES, "tool_result")


def read_conversation(body: Block, given: Sequence[JSON]) -> tuple[Message, ...]:
    """Return the body's system prompt and its `given` messages; raises `ApiError` (400)."""
    read: list[Message] = []
    if body.values.get("system") is not None and (content := body.content("system", ("text",))):
        read.append(messages.SystemMessage(content))
    for index, message in enumerate(given):
        if plain := plain_message(message):
            read.append(plain)
        else:
            read += _messages(body.child(message, f"messages[{index}]"))
    return tuple(read)


def _messages(message: Block) -> Iterator[Message]:
    role = message.required("role")
    extras = message.extras("role", "content")
    match role:
        case "user":
            yield from _user_messages(message, extras)
        case "assistant":
            yield _assistant_message(message, extras)
        case "system":
            content = message.content("content", ("text", *_TOOL_CHANGES))
            yield messages.SystemMessage(content, extras=extras)
        case _:
            raise message.wrong("role", f"must be one of {', '.join(_ROLES)}.")


def _user_messages(message: Block, extras: Extras) -> Iterator[Message]:
    results: list[Message] = []
    rest: list[Part] = []
    for block in message.blocks("content"):
        if block.values.get("type") == "tool_result":
            results.append(_result(block))
        else:
            rest.append(part_of(block, _USER_BLOCKS))
    if not results and not rest:
        raise message.wrong("content", "must not be empty.")
    yield from results
    if rest:
        yield messages.UserMessage(joined(rest), extras)


def _result(block: Block) -> Message:
    call_id = block.call_id("tool_use_id")
    content = "" if block.values.get("content") is None else block.content("content")
    failed = block.one_of("is_error", (True, False))
    if failed:
        block.vendor_fields.add("is_error")
    return messages.ToolMessage(
        content=content,
        tool_call_id=call_id,
        is_error=bool(failed),
        extras=block.extras("type", "tool_use_id", "content", "is_error"),
    )


def _assistant_message(message: Block, extras: Extras) -> Message:
    parts: list[Part] = []
    calls: list[ToolCall] = []
    thinking: list[Reasoning] = []
    for block in message.blocks("content"):
        match block.values.get("type"):
            case "text":
                parts.append(part_of(block))
            case "tool_use":
                calls.append(_call(block))
            case "thinking" | "redacted_thinking":
                place = len(parts) + len(calls)
                thinking += [replace(one, after=place) for one in _thinking(block)]
            case str(kind) if kind not in _USER_BLOCKS:
                # The API made the block itself, so it knows the type.
                parts.append(messages.NativePart(THINKING_API, block.values))
            case _:
                raise unknown_type(block, _ASSISTANT_BLOCKS)
    return messages.AssistantMessage(
        content=(joined(parts) or "") if parts or not calls else None,
        reasoning=tuple(thinking),
        tool_calls=tuple(calls),
        extras=extras,
    )


def _call(block: Block) -> ToolCall:
    arguments = msgspec.json.encode(block.object("input").values).decode()
    extras = block.extras("type", "id", "name", "input", *CALL_FIELDS)
    for field in sorted(extras.keys() - {"cache_control"}):
        raise block.wrong(field, "unknown field of a tool_use block. Remove it.")
    if block.values.get("caller") not in (None, {"type": "direct"}):
        # One of the provider's tools made the call, and the API wants to know which.
        block.vendor_fields.add("caller")
        extras |= {"caller": block.object("caller").values}
    if toolset := block.optional("toolset_name", str, "a string"):
        block.vendor_fields.add("toolset_name")
        extras |= {"toolset_name": toolset}
    return ToolCall(block.call_id("id"), block.text("name"), arguments, extras)


def _thinking(block: Block) -> Iterator[Reasoning]:
    """Yield the thinking of an earlier answer; an empty block without a signature is nothing."""
    if block.values.get("type") == "redacted_thinking":
        block.text("data")
    elif not block.optional("signature", str, "a string"):
        if text := block.text("thinking"):
            block.vendor_fields.add(REASONING)
            yield Reasoning(text)
        return
    else:
        block.text("thinking")
    if (signed := read_thinking_block(block.values)) is not None:
        yield signed
