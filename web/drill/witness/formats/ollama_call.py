"""Converts a request to Ollama's `/api/chat` to a Chat call: messages, options and fields.

This is the inverse of `actors.providers.formats.ollama.request`: a chat converted there comes back
unchanged, so that a simulated model gives the same answer over every wire format.
"""

from collections.abc import Mapping, Sequence

import msgspec

from actors.turn.chat_messages import read_messages
from actors.turn.model_call import JSON, ModelCall
from web.drill.witness.formats.base import BadCall

Document = Mapping[str, JSON]

_CONVERTED = frozenset({"format", "messages", "model", "options", "stream", "think"})
"""Fields that have another name or shape in Chat."""

_EFFORTS = {True: "medium", False: "none"}


def chat_call(document: Document) -> ModelCall:
    """Return the call of a request. Raises `BadCall`."""
    model, messages = document.get("model"), document.get("messages")
    if not isinstance(model, str) or not model:
        raise BadCall("model is required", "model")
    if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
        raise BadCall("messages has to be a list of objects", "messages")
    return ModelCall(
        upstream_model=model,
        messages=read_messages(_chat(messages)),
        parameters=_parameters(document),
    )


def _chat(messages: Sequence[Document]) -> list[dict[str, JSON]]:
    chat: list[dict[str, JSON]] = []
    unanswered: list[tuple[str, JSON]] = []
    for message in messages:
        role = message.get("role")
        if role not in ("system", "user", "assistant", "tool"):
            raise BadCall(f"{role!r} is not a valid message role", "messages")
        one: dict[str, JSON] = {"role": role}
        if role == "tool":
            one["tool_call_id"] = _call_id(message, unanswered)
        calls = _calls(message, f"call_{len(chat)}")
        unanswered += [(id, name) for id, name, _ in calls]
        one["content"] = _content(message, bool(calls))
        if calls:
            one["tool_calls"] = [call for _, _, call in calls]
        chat.append(one)
    return chat


def _content(message: Document, calls: bool) -> JSON:
    """Return text and images as Chat content; Ollama's images have no media type, so PNG."""
    text, images = message.get("content"), message.get("images")
    if not isinstance(images, list) or not images:
        return None if calls and not text else text
    parts: list[JSON] = [{"type": "text", "text": text}] if text else []
    urls = [f"data:image/png;base64,{image}" for image in images]
    return parts + [{"type": "image_url", "image_url": {"url": url}} for url in urls]


def _calls(message: Document, prefix: str) -> list[tuple[str, JSON, JSON]]:
    """Return id, name and Chat form of each tool call in a message."""
    found: list[tuple[str, JSON, JSON]] = []
    calls = message.get("tool_calls")
    for number, call in enumerate(calls if isinstance(calls, list) else []):
        match call:
            case {"function": {"name": name, "arguments": dict(arguments)}}:
                id = str(call.get("id") or f"{prefix}_{number}")
                text = msgspec.json.encode(arguments).decode()
                function = {"name": name, "arguments": text}
                found.append((id, name, {"id": id, "type": "function", "function": function}))
            case _:
                raise BadCall("the arguments of a tool call have to be an object", "messages")
    return found


def _call_id(message: Document, unanswered: list[tuple[str, JSON]]) -> str:
    """Return the id of the call that a result is for: its own or the first of that tool."""
    id, name = message.get("tool_call_id"), message.get("tool_name")
    known = (call for call in unanswered if call[0] == id or (not id and call[1] == name))
    found = next(known, (str(id or name), name))
    if found in unanswered:
        unanswered.remove(found)
    return found[0]


def _parameters(document: Document) -> dict[str, JSON]:
    chat = {name: value for name, value in document.items() if name not in _CONVERTED}
    options, think = document.get("options"), document.get("think")
    if isinstance(options, dict):
        chat |= {"max_tokens" if name == "num_predict" else name: options[name] for name in options}
    if think is not None:
        chat["reasoning_effort"] = _EFFORTS[think] if isinstance(think, bool) else think
    match document.get("format"):
        case "json":
            chat["response_format"] = {"type": "json_object"}
        case dict(schema):
            wanted = {"name": "response", "schema": schema}
            chat["response_format"] = {"type": "json_schema", "json_schema": wanted}
    return chat
