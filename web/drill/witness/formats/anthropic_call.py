"""Converts a Messages API request to a Chat call: messages, tools and parameters.

This is the inverse of `actors.providers.formats.anthropic.messages`: a chat converted there comes
back unchanged, so that a simulated model gives the same answer over every wire format.
"""

from collections.abc import Iterator, Mapping

import msgspec

from actors.turn.chat_messages import read_messages
from actors.turn.model_call import JSON, ModelCall

Document = Mapping[str, JSON]

_CONVERTED = frozenset(
    {
        "max_tokens",
        "messages",
        "metadata",
        "model",
        "output_config",
        "stop_sequences",
        "stream",
        "system",
        "tool_choice",
        "tools",
    }
)
"""Fields that have another name or shape in Chat."""

_CHOICES = {"auto": "auto", "none": "none", "any": "required"}


def chat_call(document: Document) -> ModelCall:
    """Return the call for a document that `anthropic_rules.check` has accepted."""
    kept = {name: value for name, value in document.items() if name not in _CONVERTED}
    return ModelCall(
        upstream_model=str(document["model"]),
        messages=read_messages(
            [*_system(document.get("system")), *_messages(document["messages"])]
        ),
        parameters={name: v for name, v in _parameters(document) if v is not None} | kept,
    )


def user_id(document: Document) -> str | None:
    """Return `metadata.user_id`, or None."""
    metadata = document.get("metadata")
    user = metadata.get("user_id") if isinstance(metadata, dict) else None
    return user if isinstance(user, str) else None


def blocks_of(content: JSON) -> list[dict[str, JSON]]:
    """Return the content blocks; a plain string becomes one text block."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [b for b in content if isinstance(b, dict)] if isinstance(content, list) else []


def _system(system: JSON) -> Iterator[dict[str, JSON]]:
    for block in blocks_of(system):
        yield {"role": "system", "content": _content([block])}


def _messages(messages: JSON) -> Iterator[dict[str, JSON]]:
    for message in messages if isinstance(messages, list) else ():
        blocks = blocks_of(message.get("content"))
        if message.get("role") == "assistant":
            yield _assistant(blocks)
            continue
        results = [block for block in blocks if block.get("type") == "tool_result"]
        yield from map(_result, results)
        if rest := [block for block in blocks if block.get("type") != "tool_result"]:
            yield {"role": message.get("role"), "content": _content(rest)}


def _result(block: dict[str, JSON]) -> dict[str, JSON]:
    content = _content(blocks_of(block.get("content")))
    return {"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": content}


def _assistant(blocks: list[dict[str, JSON]]) -> dict[str, JSON]:
    """Return an assistant message, without thinking blocks: Chat messages have none."""
    texts = [block for block in blocks if block.get("type") == "text"]
    calls = [_tool_call(block) for block in blocks if block.get("type") == "tool_use"]
    message: dict[str, JSON] = {"role": "assistant", "content": _content(texts) if texts else None}
    return message | {"tool_calls": calls} if calls else message


def _tool_call(block: dict[str, JSON]) -> dict[str, JSON]:
    arguments = msgspec.json.encode(block.get("input")).decode()
    function = {"name": block.get("name"), "arguments": arguments}
    return {"id": block.get("id"), "type": "function", "function": function}


def _content(blocks: list[dict[str, JSON]]) -> JSON:
    """Return a string for a single plain text block, else content parts."""
    if not blocks:
        return ""
    if len(blocks) == 1 and set(blocks[0]) == {"type", "text"}:
        return blocks[0]["text"]
    return [_part(block) for block in blocks]


def _part(block: dict[str, JSON]) -> dict[str, JSON]:
    source = block.get("source")
    if block.get("type") != "image" or not isinstance(source, dict):
        return block
    url = source.get("url") or f"data:{source.get('media_type')};base64,{source.get('data')}"
    rest = {key: block[key] for key in block if key not in ("type", "source")}
    return {"type": "image_url", "image_url": {"url": url}} | rest


def _parameters(document: Document) -> Iterator[tuple[str, JSON]]:
    yield "max_tokens", document.get("max_tokens")
    yield "stop", document.get("stop_sequences")
    yield "user", user_id(document)
    if isinstance(tools := document.get("tools"), list):
        yield "tools", [_tool(tool) for tool in tools if isinstance(tool, dict)]
    if isinstance(choice := document.get("tool_choice"), dict):
        yield "tool_choice", _choice(choice)
        yield "parallel_tool_calls", False if choice.get("disable_parallel_tool_use") else None
    match document.get("output_config"):
        case {"format": {"type": "json_schema", "schema": schema}}:
            wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
            yield "response_format", wanted


def _tool(tool: dict[str, JSON]) -> dict[str, JSON]:
    function = {
        "name": tool.get("name"),
        "description": tool.get("description"),
        "parameters": tool.get("input_schema"),
    }
    return {"type": "function", "function": function}


def _choice(choice: dict[str, JSON]) -> JSON:
    if choice.get("type") == "tool":
        return {"type": "function", "function": {"name": choice.get("name")}}
    return _CHOICES.get(str(choice.get("type")))
