"""Chat messages as `system` and `messages` of Anthropic's Messages API.

Rules from the API reference, "Create a message", and its errors: turns alternate, no text block is
blank, an id of a tool call has letters, digits, `_` and `-`, and the last assistant message, which
is to be continued, does not end in white space.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from actors.providers.anthropic_blocks import (
    Block,
    content_blocks,
    marked,
    note_rest,
    text_block,
)
from actors.providers.base import JSON

_ODD = re.compile(r"[^A-Za-z0-9_-]")
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
            "thinking_blocks",
        }
    ),
    "tool": frozenset({"role", "content", "cache_control", "tool_call_id", "is_error", "name"}),
}
"""Fields that are looked at, and thinking, which comes back only with its signature.

It is signed in `thinking_blocks`, where it is as it was given out."""
_THINKING = frozenset({"thinking", "redacted_thinking"})


class Turn(msgspec.Struct, frozen=True):
    """What one side says at a time; never nothing."""

    role: Literal["user", "assistant"]
    content: list[Block]


class Conversation(msgspec.Struct, frozen=True):
    """A chat, in the API's shape."""

    system: list[Block]
    turns: list[Turn]

    @property
    def prefilled(self) -> bool:
        """The last message is the assistant's, to be continued."""
        return bool(self.turns) and self.turns[-1].role == "assistant"

    @property
    def within_tool_loop(self) -> bool:
        """Tools' results are the last that was said."""
        return bool(self.turns) and self.turns[-1].content[0]["type"] == "tool_result"

    @property
    def lacks_thinking(self) -> bool:
        """So they are, and the thinking that led to the calls is not there."""
        if not self.within_tool_loop or len(self.turns) < 2:
            return False
        return self.turns[-2].content[0]["type"] not in _THINKING


def conversation(messages: Sequence[dict[str, JSON]], left_out: list[str]) -> Conversation:
    """The chat in the API's shape; paths of what it has no place for go to `left_out`."""
    system: list[Block] = []
    turns: list[Turn] = []
    for index, message in enumerate(messages):
        path = f"messages[{index}]"
        role = "system" if message.get("role") == "developer" else message.get("role")
        if not isinstance(role, str) or role not in _FIELDS:
            left_out.append(path)
            continue
        note_rest(message, _FIELDS[role], path, left_out)
        blocks = marked(_said(role, message, path, left_out), message)
        if role == "system":
            system += blocks
        elif blocks:
            _append(turns, "assistant" if role == "assistant" else "user", blocks)
    _trim_prefill(turns)
    return Conversation(system, turns)


def _said(role: str, message: dict[str, JSON], path: str, left_out: list[str]) -> list[Block]:
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


def _append(turns: list[Turn], role: Literal["user", "assistant"], blocks: list[Block]) -> None:
    if turns and turns[-1].role == role:
        turns[-1].content.extend(blocks)
    else:
        turns.append(Turn(role, blocks))


def _trim_prefill(turns: list[Turn]) -> None:
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
        yield from marked([block], call)


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
