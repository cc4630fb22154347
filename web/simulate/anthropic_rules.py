"""What Anthropic's Messages API refuses, in about its words: a call that passes is one it takes.

Sources: the API reference, "Create a message", the errors of requests that break its rules, and the
page "Extended thinking".
"""

import re
from collections.abc import Mapping

from actors.providers.base import JSON
from web.simulate.anthropic_call import blocks_of
from web.simulate.wire import BadCall

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
_LEAST_BUDGET = 1024


def check(document: Document) -> None:
    """Raises `BadCall` where the API would answer with a 400."""
    for name in document:
        _demand(name in _FIELDS, name, "Extra inputs are not permitted")
    _demand(isinstance(document.get("model"), str), "model", "Input should be a valid string")
    most = document.get("max_tokens")
    _demand(most is not None, "max_tokens", "Field required")
    _demand(_is_whole(most), "max_tokens", "Input should be a valid integer")
    _check_messages(document.get("messages"))
    for block in blocks_of(document.get("system")):
        _check_block(block, "system")
    _check_sampling(document)
    _check_tools(document)
    _check_thinking(document.get("thinking"), document)


def _demand(kept: bool, path: str, complaint: str) -> None:
    if not kept:
        raise BadCall(f"{path}: {complaint}", path)


def _is_whole(value: JSON) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_messages(messages: JSON) -> None:
    _demand(isinstance(messages, list), "messages", "Field required")
    found = messages if isinstance(messages, list) else []
    _demand(bool(found), "messages", "at least one message is required")
    asked: set[JSON] = set()
    for index, message in enumerate(found):
        path = f"messages.{index}"
        _demand(isinstance(message, dict), path, "Input should be an object")
        _demand(message.get("role") in _ROLES, f"{path}.role", "Input should be user or assistant")
        _demand(_is_content(message.get("content")), f"{path}.content", "Input should be a list")
        blocks = blocks_of(message.get("content"))
        _demand(bool(blocks), path, "all messages must have non-empty content")
        asked = _check_turn(blocks, path, asked)
    if found[-1]["role"] == "assistant":
        _check_prefill(blocks_of(found[-1]["content"])[-1])


def _is_content(content: JSON) -> bool:
    if isinstance(content, list):
        return all(isinstance(block, dict) for block in content)
    return isinstance(content, str)


def _check_turn(blocks: list[dict[str, JSON]], path: str, asked: set[JSON]) -> set[JSON]:
    """Check one message after tools were called with these ids; returns those that it calls."""
    calls: set[JSON] = set()
    answered: set[JSON] = set()
    for index, block in enumerate(blocks):
        at = f"{path}.content.{index}"
        _check_block(block, at)
        if block.get("type") == "tool_use":
            _demand(isinstance(block.get("input"), dict), at, "Input should be an object")
            calls.add(block.get("id"))
        elif block.get("type") == "tool_result":
            answered.add(block.get("tool_use_id"))
    _demand(answered <= asked, path, "unexpected `tool_use_id` found in `tool_result` blocks")
    _demand(asked <= answered, path, "`tool_use` ids were found without `tool_result` blocks")
    return calls


def _check_block(block: dict[str, JSON], path: str) -> None:
    match block.get("type"):
        case "text":
            text = block.get("text")
            _demand(isinstance(text, str), path, "Input should be a valid string")
            _demand(bool(str(text).strip()), path, "text content blocks must be non-empty")
        case "tool_use" | "tool_result":
            id = block.get("id", block.get("tool_use_id"))
            kept = isinstance(id, str) and _ID.fullmatch(id) is not None
            _demand(kept, path, "String should match pattern '^[a-zA-Z0-9_-]+$'")
        case kind:
            _demand(isinstance(kind, str), path, "Input tag is missing")


def _check_prefill(block: dict[str, JSON]) -> None:
    text = block.get("text")
    kept = not isinstance(text, str) or text == text.rstrip()
    complaint = "final assistant content cannot end with trailing whitespace"
    _demand(kept, "messages", complaint)


def _check_sampling(document: Document) -> None:
    for name in ("temperature", "top_p"):
        value = document.get(name, 0)
        kept = isinstance(value, int | float) and 0 <= value <= 1
        _demand(kept, name, "Input should be between 0 and 1")


def _check_tools(document: Document) -> None:
    tools = document.get("tools", [])
    _demand(isinstance(tools, list), "tools", "Input should be a list")
    for index, tool in enumerate(tools if isinstance(tools, list) else []):
        kept = isinstance(tool, dict) and isinstance(tool.get("name"), str)
        _demand(kept, f"tools.{index}", "Input should be a tool with a name")
    kept = bool(tools) or "tool_choice" not in document
    _demand(kept, "tool_choice", "may only be specified while providing tools")


def _check_thinking(thinking: JSON, document: Document) -> None:
    if not isinstance(thinking, dict) or thinking.get("type") != "enabled":
        return
    path = "thinking.enabled.budget_tokens"
    budget, most = thinking.get("budget_tokens"), document["max_tokens"]
    _demand(_is_whole(budget), path, "Field required")
    if isinstance(budget, int) and isinstance(most, int):
        _demand(budget >= _LEAST_BUDGET, path, "Input should be greater than or equal to 1024")
        _demand(budget < most, "max_tokens", "must be greater than thinking.budget_tokens")
    forced = document.get("tool_choice")
    kept = not isinstance(forced, dict) or forced.get("type") in ("auto", "none")
    _demand(kept, "thinking", "may not be enabled when tool_choice forces tool use")
    _demand("temperature" not in document, "temperature", "may only be 1 when thinking is enabled")
