"""Reading a call in its neutral form, for formats that say it in words of their own. Pure.

The client's messages are looked at leniently: what is not understood is named, never a crash.
"""

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import unquote_to_bytes

import msgspec

from actors.providers.base import JSON

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
"""Values of parameters that ask for what every format does anyway; `store` asks it of us."""

_REASONING_KEYS = frozenset({"reasoning_content", "reasoning"})
_MESSAGE_KEYS = frozenset({"role", "content", "refusal", "tool_calls", "tool_call_id"})


def asks_nothing(name: str, value: JSON) -> bool:
    """Whether this parameter may be left out and nobody would see a difference."""
    return value is None or value in ([], {}) or value in _NO_REQUEST.get(name, ())


def with_effort(parameters: Mapping[str, JSON], left_out: list[str]) -> dict[str, JSON]:
    """The parameters without `reasoning`, its `effort` as `reasoning_effort`, which wins.

    For formats that have no `reasoning`: the rest of it is left out.
    """
    said = dict(parameters)
    reasoning = said.pop("reasoning", None)
    if not isinstance(reasoning, dict):
        left_out += [] if reasoning in (None, []) else ["reasoning"]
        return said
    asked = {name: value for name, value in reasoning.items() if value is not None}
    if said.get("reasoning_effort") is None and "effort" in asked:
        said["reasoning_effort"] = asked.pop("effort")
    elif asked.get("effort") == said.get("reasoning_effort"):
        asked.pop("effort", None)
    left_out += [f"reasoning.{name}" for name in asked]
    return said


def parts_of(message: Message, path: str) -> Iterator[tuple[str, Part]]:
    """The parts of a message and their paths; a plain text is a text part, and so is a refusal."""
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
    """The text of a part; None where it is of another kind."""
    match part:
        case {"type": "text", "text": str(text)} | {"type": "refusal", "refusal": str(text)}:
            return text
        case _:
            return None


def reasoning_of(message: Message) -> str | None:
    """The thinking that an assistant's message was shown with."""
    found = (message.get(key) for key in ("reasoning_content", "reasoning"))
    return next((text for text in found if isinstance(text, str) and text), None)


def odd_keys(message: Message, path: str) -> list[str]:
    """Paths of what a message holds besides what all formats know; thinking is not counted.

    A `name` is counted only where it is not that of a tool.
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
    """The tool calls of an assistant's message and their paths."""
    calls = message.get("tool_calls")
    for number, call in enumerate(calls if isinstance(calls, list) else []):
        yield f"{path}.tool_calls[{number}]", call if isinstance(call, dict) else {}


def tool_names(messages: Sequence[Message]) -> dict[str, str]:
    """The name of the function that each tool call of the conversation is for, by its id."""
    names: dict[str, str] = {}
    for message in messages:
        for _, call in tool_calls_of(message, ""):
            match call:
                case {"id": str(id), "function": {"name": str(name)}}:
                    names[id] = name
    return names


def arguments_of(function: Message) -> dict[str, JSON] | None:
    """A tool call's arguments as an object; None where they are none."""
    arguments = function.get("arguments")
    if isinstance(arguments, str) and arguments:
        return object_of(arguments)
    if arguments in (None, ""):
        return {}
    return arguments if isinstance(arguments, dict) else None


def object_of(text: str) -> dict[str, JSON] | None:
    """The object that a JSON text is; None where it is another value or no JSON."""
    try:
        value: JSON = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def data_url(url: str) -> tuple[str, str] | None:
    """Media type and base64 of a `data:` URL (RFC 2397); None where it is another kind of URL."""
    head, comma, data = url.partition(",")
    if not comma or head[:5].lower() != "data:":
        return None
    media_type, *parameters = head[5:].split(";")
    if "base64" not in [parameter.strip().lower() for parameter in parameters]:
        data = b64encode(unquote_to_bytes(data)).decode()
    return media_type.strip().lower() or "text/plain", data


def stop_words(value: JSON) -> JSON:
    """`stop` as a list."""
    return [value] if isinstance(value, str) else value
