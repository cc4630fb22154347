"""Validates requests like Anthropic's Messages API, with similar error messages.

A request that passes should be accepted by the real API. Sources: the API reference, "Create a
message", errors observed for invalid requests, and the page "Extended thinking".
"""

import re
from collections.abc import Mapping

from actors.turn.model_call import JSON
from web.drill.witness.formats.anthropic_call import blocks_of
from web.drill.witness.formats.base import BadCall

Document = Mapping[str, JSON]

_FIELDS = frozenset(
    {
        "cache_control",
        "container",
        "diagnostics",
        "inference_geo",
        "max_tokens",
        "messages",
        "metadata",
        "model",
        "output_config",
        "service_tier",
        "speed",
        "stop_sequences",
        "stream",
        "system",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
        "user_profile_id",
    }
)
_ID = re.compile(r"[A-Za-z0-9_-]{1,256}")
_ROLES = ("user", "assistant", "system")
_MIN_BUDGET = 1024


def check(document: Document) -> None:
    """Raise `BadCall` if the API would answer 400."""
    for name in document:
        _require(name in _FIELDS, name, "Extra inputs are not permitted")
    _require(isinstance(document.get("model"), str), "model", "Input should be a valid string")
    most = document.get("max_tokens")
    _require(most is not None, "max_tokens", "Field required")
    _require(_is_whole(most), "max_tokens", "Input should be a valid integer")
    _check_messages(document.get("messages"))
    for block in blocks_of(document.get("system")):
        _check_block(block, "system")
    _check_sampling(document)
    _check_tools(document)
    _check_thinking(document.get("thinking"), document)


def _require(ok: bool, path: str, complaint: str) -> None:
    if not ok:
        raise BadCall(f"{path}: {complaint}", path)


def _is_whole(value: JSON) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_messages(messages: JSON) -> None:
    _require(isinstance(messages, list), "messages", "Field required")
    found = messages if isinstance(messages, list) else []
    _require(bool(found), "messages", "at least one message is required")
    called: set[JSON] = set()
    for index, message in enumerate(found):
        path = f"messages.{index}"
        _require(isinstance(message, dict), path, "Input should be an object")
        _require(message.get("role") in _ROLES, f"{path}.role", "Input should be user or assistant")
        _require(_is_content(message.get("content")), f"{path}.content", "Input should be a list")
        blocks = blocks_of(message.get("content"))
        _require(bool(blocks), path, "all messages must have non-empty content")
        called = _check_turn(blocks, path, called)
    if found[-1]["role"] == "assistant":
        _check_prefill(blocks_of(found[-1]["content"])[-1])


def _is_content(content: JSON) -> bool:
    if isinstance(content, list):
        return all(isinstance(block, dict) for block in content)
    return isinstance(content, str)


def _check_turn(blocks: list[dict[str, JSON]], path: str, called: set[JSON]) -> set[JSON]:
    """Check one message; return the ids of its tool calls.

    `called` are the ids of the tool calls of the message before, all of which need a result.
    """
    calls: set[JSON] = set()
    answered: set[JSON] = set()
    for index, block in enumerate(blocks):
        at = f"{path}.content.{index}"
        _check_block(block, at)
        if block.get("type") == "tool_use":
            _require(isinstance(block.get("input"), dict), at, "Input should be an object")
            calls.add(block.get("id"))
        elif block.get("type") == "tool_result":
            answered.add(block.get("tool_use_id"))
    _require(answered <= called, path, "unexpected `tool_use_id` found in `tool_result` blocks")
    _require(called <= answered, path, "`tool_use` ids were found without `tool_result` blocks")
    return calls


def _check_block(block: dict[str, JSON], path: str) -> None:
    match block.get("type"):
        case "text":
            text = block.get("text")
            _require(isinstance(text, str), path, "Input should be a valid string")
            _require(bool(str(text).strip()), path, "text content blocks must be non-empty")
        case "tool_use" | "tool_result":
            id = block.get("id", block.get("tool_use_id"))
            ok = isinstance(id, str) and _ID.fullmatch(id) is not None
            _require(ok, path, "String should match pattern '^[a-zA-Z0-9_-]+$'")
        case kind:
            _require(isinstance(kind, str), path, "Input tag is missing")


def _check_prefill(block: dict[str, JSON]) -> None:
    text = block.get("text")
    ok = not isinstance(text, str) or text == text.rstrip()
    complaint = "final assistant content cannot end with trailing whitespace"
    _require(ok, "messages", complaint)


def _check_sampling(document: Document) -> None:
    for name in ("temperature", "top_p"):
        value = document.get(name, 0)
        ok = isinstance(value, int | float) and 0 <= value <= 1
        _require(ok, name, "Input should be between 0 and 1")


def _check_tools(document: Document) -> None:
    tools = document.get("tools", [])
    _require(isinstance(tools, list), "tools", "Input should be a list")
    for index, tool in enumerate(tools if isinstance(tools, list) else []):
        ok = isinstance(tool, dict) and isinstance(tool.get("name"), str)
        _require(ok, f"tools.{index}", "Input should be a tool with a name")
    ok = bool(tools) or "tool_choice" not in document
    _require(ok, "tool_choice", "may only be specified while providing tools")


def _check_thinking(thinking: JSON, document: Document) -> None:
    if not isinstance(thinking, dict) or thinking.get("type") != "enabled":
        return
    path = "thinking.enabled.budget_tokens"
    budget, most = thinking.get("budget_tokens"), document["max_tokens"]
    _require(_is_whole(budget), path, "Field required")
    if isinstance(budget, int) and isinstance(most, int):
        _require(budget >= _MIN_BUDGET, path, "Input should be greater than or equal to 1024")
        _require(budget < most, "max_tokens", "must be greater than thinking.budget_tokens")
    forced = document.get("tool_choice")
    ok = not isinstance(forced, dict) or forced.get("type") in ("auto", "none")
    _require(ok, "thinking", "may not be enabled when tool_choice forces tool use")
    _require("temperature" not in document, "temperature", "may only be 1 when thinking is enabled")
