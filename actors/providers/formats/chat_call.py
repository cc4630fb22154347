"""Helpers for reading Chat messages and parameters when building requests of other APIs. Pure.

Messages come from the client unchecked and are read leniently: unknown content is reported by path
and never raises.
"""

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import unquote_to_bytes

import msgspec

from actors.turn.model_call import JSON

Message = Mapping[str, JSON]
Part = Mapping[str, JSON]

_NO_REQUEST: dict[str, tuple[JSON, ...]] = {
    "n": (1,),
    "parallel_tool_calls": (True,),
    "logprobs": (False,),
    "store": (False, True),
    "service_tier": ("auto", "default"),
    "verbosity": ("medium",),
    "modalities": (["text"],),
}
"""Parameter values that every format implements by default; `store` concerns Trouper only."""

_REASONING_KEYS = frozenset({"reasoning_content", "reasoning"})
_MESSAGE_KEYS = frozenset({"role", "content", "refusal", "tool_calls", "tool_call_id"})


def is_default_value(name: str, value: JSON) -> bool:
    """Return whether leaving out this parameter makes no difference."""
    return value is None or value in ([], {}) or value in _NO_REQUEST.get(name, ())


def with_effort(parameters: Mapping[str, JSON], left_out: list[str]) -> dict[str, JSON]:
    """Return the parameters with `reasoning.effort` moved to `reasoning_effort`.

    An existing `reasoning_effort` wins. For formats that have no `reasoning`: its other fields are
    added to `left_out`.
    """
    result = dict(parameters)
    reasoning = result.pop("reasoning", None)
    if not isinstance(reasoning, dict):
        left_out += [] if reasoning in (None, []) else ["reasoning"]
        return result
    remaining = {name: value for name, value in reasoning.items() if value is not None}
    if result.get("reasoning_effort") is None and "effort" in remaining:
        result["reasoning_effort"] = remaining.pop("effort")
    elif remaining.get("effort") == result.get("reasoning_effort"):
        remaining.pop("effort", None)
    left_out += [f"reasoning.{name}" for name in remaining]
    return result


def parts_of(message: Message, path: str) -> Iterator[tuple[str, Part]]:
    """Yield the paths and parts of a message; plain text and a refusal become text parts."""
    content = message.get("content")
    if isinstance(content, str):
        yield f"{path}.content", {"type": "text", "text": content}
    elif isinstance(content, list):
        for number, part in enumerate(content):
            yield f"{path}.content[{number}]", part if isinstance(part, dict) else {}
    elif content is not None:
        yield f"{path}.content", {}
    if isinstance(refusal := message.get("refusal"), str):
        yield f"{path}.refusal", {"type": "text", "text": refusal}


def text_of(part: Part) -> str | None:
    """Return the text of a text or refusal part, or None for other parts."""
    match part:
        case {"type": "text", "text": str(text)} | {"type": "refusal", "refusal": str(text)}:
            return text
        case _:
            return None


def reasoning_of(message: Message) -> str | None:
    """Return the reasoning of an assistant's message, or None."""
    found = (message.get(key) for key in ("reasoning_content", "reasoning"))
    return next((text for text in found if isinstance(text, str) and text), None)


def unknown_keys(message: Message, path: str) -> list[str]:
    """Return the paths of non-empty message fields that not all formats know.

    Reasoning isn't reported, nor is the `name` of a tool message.
    """
    known = _MESSAGE_KEYS | _REASONING_KEYS
    if message.get("role") in ("tool", "function"):
        known |= {"name"}
    return [
        f"{path}.{key}"
        for key, value in message.items()
        if key not in known and value not in (None, "", [], {})
    ]


def tool_calls_of(message: Message, path: str) -> Iterator[tuple[str, Message]]:
    """Yield the paths and tool calls of an assistant's message."""
    calls = message.get("tool_calls")
    for number, call in enumerate(calls if isinstance(calls, list) else []):
        yield f"{path}.tool_calls[{number}]", call if isinstance(call, dict) else {}


def tool_names(messages: Sequence[Message]) -> dict[str, str]:
    """Return the function name of each tool call of the conversation, by call id."""
    names: dict[str, str] = {}
    for message in messages:
        for _, call in tool_calls_of(message, ""):
            match call:
                case {"id": str(id), "function": {"name": str(name)}}:
                    names[id] = name
    return names


def arguments_of(function: Message) -> dict[str, JSON] | None:
    """Return a tool call's arguments as an object, or None if they aren't one."""
    arguments = function.get("arguments")
    if isinstance(arguments, str) and arguments:
        return object_of(arguments)
    if arguments in (None, ""):
        return {}
    return arguments if isinstance(arguments, dict) else None


def object_of(text: str) -> dict[str, JSON] | None:
    """Return the object in a JSON text, or None if it is another value or invalid."""
    try:
        value: JSON = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def data_url(url: str) -> tuple[str, str] | None:
    """Return media type and base64 of a `data:` URL (RFC 2397), or None for other URLs."""
    head, comma, data = url.partition(",")
    if not comma or head[:5].lower() != "data:":
        return None
    media_type, *parameters = head[5:].split(";")
    if "base64" not in [parameter.strip().lower() for parameter in parameters]:
        data = b64encode(unquote_to_bytes(data)).decode()
    return media_type.strip().lower() or "text/plain", data


def stop_words(value: JSON) -> JSON:
    """Return `stop` as a list."""
    return [value] if isinstance(value, str) else value
