"""Converts Chat messages to `system` and `messages` of Anthropic's Messages API.

The rules come from the API reference, "Create a message", and its errors: roles alternate, text
blocks aren't blank, tool call ids contain only letters, digits, `_` and `-`, and a final assistant
message (prefill) doesn't end in white space.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from actors.providers.formats.anthropic.blocks import (
    Block,
    content_blocks,
    note_unknown_fields,
    text_block,
    with_cache_control,
)
from actors.turn.model_call import JSON

_ID_FORBIDDEN = re.compile(r"[^A-Za-z0-9_-]")
_PARTS = {
    "system": frozenset({"text"}),
    "user": frozenset({"text", "image_url"}),
    "assistant": frozenset({"text", "refusal"}),
    "tool": frozenset({"text", "image_url"}),
}
"""Content part types that have a block type, by the role of their message."""
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
            "thinking_blocks",
        }
    ),
    "tool": frozenset({"role", "content", "cache_control", "tool_call_id", "is_error", "name"}),
}
"""Message fields that are handled, by role.

Thinking is sent back only with its signature, unchanged, from `thinking_blocks`. `reasoning` and
`reasoning_content` have no signature, so they are dropped."""
_THINKING = frozenset({"thinking", "redacted_thinking"})


class MessageTurn(msgspec.Struct, frozen=True):
    """A message of the Messages API; `content` is never empty."""

    role: Literal["user", "assistant"]
    content: list[Block]


class MessagesBuilder(msgspec.Struct, frozen=True):
    """A conversation in the shape of the Messages API."""

    system: list[Block]
    turns: list[MessageTurn]

    @property
    def prefilled(self) -> bool:
        """True if the last message is the assistant's, for the model to continue."""
        return bool(self.turns) and self.turns[-1].role == "assistant"

    @property
    def within_tool_loop(self) -> bool:
        """True if the last message holds tool results."""
        return bool(self.turns) and self.turns[-1].content[0]["type"] == "tool_result"

    @property
    def lacks_thinking(self) -> bool:
        """True if tool results come last and the thinking that led to the calls is missing."""
        if not self.within_tool_loop or len(self.turns) < 2:
            return False
        return self.turns[-2].content[0]["type"] not in _THINKING


def conversation(messages: Sequence[dict[str, JSON]], left_out: list[str]) -> MessagesBuilder:
    """Return the conversation; add the paths of unsupported content to `left_out`."""
    system: list[Block] = []
    turns: list[MessageTurn] = []
    for index, message in enumerate(messages):
        path = f"messages[{index}]"
        role = "system" if message.get("role") == "developer" else message.get("role")
        if not isinstance(role, str) or role not in _FIELDS:
            left_out.append(path)
            continue
        note_unknown_fields(message, _FIELDS[role], path, left_out)
        blocks = with_cache_control(_blocks_of(role, message, path, left_out), message)
        if role == "system":
            system += blocks
        elif blocks:
            _append(turns, "assistant" if role == "assistant" else "user", blocks)
    _strip_prefill(turns)
    return MessagesBuilder(system, turns)


def _blocks_of(role: str, message: dict[str, JSON], path: str, left_out: list[str]) -> list[Block]:
    content = message.get("content")
    blocks = list(content_blocks(content, _PARTS[role], f"{path}.content", left_out))
    if role == "tool":
        return list(_result(message, content, blocks, path, left_out))
    if role == "assistant":
        blocks = [*_thinking(message.get("thinking_blocks"), path, left_out), *blocks]
        if isinstance(refusal := message.get("refusal"), str):
            blocks += text_block(refusal)
        blocks += _tool_uses(message.get("tool_calls"), f"{path}.tool_calls", left_out)
    return blocks


def _thinking(given: JSON, path: str, left_out: list[str]) -> Iterator[Block]:
    path = f"{path}.thinking_blocks"
    if given and not isinstance(given, list):
        left_out.append(path)
    for index, block in enumerate(given if isinstance(given, list) else ()):
        if isinstance(block, dict) and block.get("type") in _THINKING:
            yield block
        else:
            left_out.append(f"{path}[{index}]")


def _append(
    turns: list[MessageTurn], role: Literal["user", "assistant"], blocks: list[Block]
) -> None:
    if turns and turns[-1].role == role:
        turns[-1].content.extend(blocks)
    else:
        turns.append(MessageTurn(role, blocks))


def _strip_prefill(turns: list[MessageTurn]) -> None:
    if not turns or turns[-1].role != "assistant":
        return
    last = turns[-1].content[-1]
    if isinstance(text := last.get("text"), str):
        last["text"] = text.rstrip()


def _tool_uses(calls: JSON, path: str, left_out: list[str]) -> Iterator[Block]:
    if calls and not isinstance(calls, list):
        left_out.append(path)
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
        yield from with_cache_control([block], call)


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
    """Return a valid id; equal inputs give equal ids, so that calls and results still match.

    Other providers' ids may contain dots and colons, which Anthropic refuses.
    """
    return _ID_FORBIDDEN.sub("_", str(id)) or "_"


def _input(arguments: JSON) -> JSON:
    """Return the arguments as a JSON object, or None if they aren't one."""
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
