"""Rules of Anthropic's Messages API that our Messages surface doesn't enforce.

The surface's reader has accepted the request. One that passes both should be accepted by the real
API. Sources: the API reference, "Create a message", errors observed for invalid requests, and the
page "Extended thinking".
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from actors.turn.model_call import JSON
from web.http.api_error import invalid

Document = Mapping[str, JSON]
Block = Mapping[str, JSON]

_FIELDS = frozenset(
    {
        *("cache_control", "container", "diagnostics", "inference_geo", "max_tokens", "messages"),
        *("metadata", "model", "output_config", "service_tier", "speed", "stop_sequences"),
        *("stream", "system", "temperature", "thinking", "tool_choice", "tools", "top_k", "top_p"),
        "user_profile_id",
    }
)
_ID = re.compile(r"[A-Za-z0-9_-]{1,256}")


def check(document: Document) -> None:
    """Raise `ApiError` if the API would answer 400."""
    for name in document:
        _require(name in _FIELDS, name, "Extra inputs are not permitted")
    _check_texts(_blocks(document.get("system")), "system")
    _check_messages(document["messages"])
    ok = bool(document.get("tools")) or document.get("tool_choice") is None
    _require(ok, "tool_choice", "may only be specified while providing tools")
    match document.get("thinking"):
        case {"type": "enabled", "budget_tokens": int(budget)}:
            _check_thinking(budget, document)


def _require(ok: bool, path: str, complaint: str) -> None:
    if not ok:
        raise invalid(f"{path}: {complaint}", param=path)


def _check_messages(messages: JSON) -> None:
    called: set[JSON] = set()
    blocks: Sequence[Block] = ()
    role: JSON = None
    for index, message in enumerate(messages if isinstance(messages, Sequence) else ()):
        path = f"messages[{index}]"
        blocks = _blocks(message["content"])
        _require(bool(blocks), path, "all messages must have non-empty content")
        _check_texts(blocks, path)
        called, role = _check_calls(blocks, path, called), message["role"]
    if role == "assistant":
        text = str(blocks[-1].get("text", ""))
        complaint = "final assistant content cannot end with trailing whitespace"
        _require(text == text.rstrip(), "messages", complaint)


def _blocks(content: JSON) -> Sequence[Block]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return content if isinstance(content, list) else ()


def _check_texts(blocks: Sequence[Block], path: str) -> None:
    for block in blocks:
        blank = block["type"] == "text" and not str(block["text"]).strip()
        _require(not blank, path, "text content blocks must be non-empty")


def _check_calls(blocks: Sequence[Block], path: str, called: set[JSON]) -> set[JSON]:
    """Check the tool blocks of one message; return the ids of its tool calls.

    `called` are the ids of the tool calls of the message before, all of which need a result.
    """
    calls, answered = set(_ids(blocks, "id")), set(_ids(blocks, "tool_use_id"))
    for id in calls | answered:
        ok = _ID.fullmatch(str(id)) is not None
        _require(ok, path, "String should match pattern '^[a-zA-Z0-9_-]+$'")
    _require(answered <= called, path, "unexpected `tool_use_id` found in `tool_result` blocks")
    _require(called <= answered, path, "`tool_use` ids were found without `tool_result` blocks")
    return calls


def _ids(blocks: Sequence[Block], field: str) -> Iterator[JSON]:
    kind = "tool_use" if field == "id" else "tool_result"
    return (block[field] for block in blocks if block["type"] == kind)


def _check_thinking(budget: int, document: Document) -> None:
    most, choice = document["max_tokens"], document.get("tool_choice")
    ok = isinstance(most, int) and budget < most
    _require(ok, "max_tokens", "must be greater than thinking.budget_tokens")
    ok = not isinstance(choice, dict) or choice.get("type") in ("auto", "none")
    _require(ok, "thinking", "may not be enabled when tool_choice forces tool use")
    ok = document.get("temperature") is None
    _require(ok, "temperature", "may only be 1 when thinking is enabled")
