"""Removes vendor extensions of the client's API from calls to other APIs. Pure.

Extensions are the parameters and fields listed in `ModelCall.foreign`.
"""

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from actors.turn.chat_messages import plain_reasoning, read_message, write_message
from actors.turn.messages import JSON, AssistantMessage, Message
from actors.turn.model_call import ModelCall

Object = dict[str, JSON]


THINKING = "reasoning_content"
"""Message field for reasoning: not part of Chat, but used by some servers that speak it."""


def as_chat(call: ModelCall, keep_field: str | None = None) -> tuple[ModelCall, list[str]]:
    """Return the call in plain Chat form and the paths of what was left out.

    The field `keep_field`, if given, is kept. A parameter that Chat parameters express as well is
    removed without being reported.
    """
    foreign = {name: chat for name, chat in call.foreign.items() if name != keep_field}
    if not foreign:
        return call, []
    left_out: list[str] = []
    parameters = _without(call.parameters, foreign, "", left_out)
    left_out = [name for name in left_out if not foreign[name]]
    if isinstance(tools := parameters.get("tools"), list):
        parameters["tools"] = list(_each(tools, foreign, "tools", left_out))
    messages = tuple(
        _message(message, foreign, f"messages[{index}]", left_out)
        for index, message in enumerate(call.messages)
    )
    return replace(call, messages=messages, parameters=parameters, foreign={}), left_out


def reasoning_paths(call: ModelCall) -> list[str]:
    """Return the paths of extension reasoning, for formats that don't accept reasoning."""
    if THINKING not in call.foreign:
        return []
    places = enumerate(call.messages)
    return [
        f"messages[{index}].{THINKING}"
        for index, message in places
        if isinstance(message, AssistantMessage) and plain_reasoning(message)
    ]


def redundant_parameters(call: ModelCall) -> frozenset[str]:
    """Return the Chat parameters that restate an extension: they are for other formats."""
    present = call.foreign.keys() & call.parameters.keys()
    return frozenset(chat for name in present for chat in call.foreign[name])


def _message(message: Message, foreign: Mapping[str, object], path: str, out: list[str]) -> Message:
    chat = _without(write_message(message), foreign, path, out)
    for field in ("content", "tool_calls"):
        if isinstance(items := chat.get(field), list):
            chat[field] = list(_each(items, foreign, f"{path}.{field}", out))
    return read_message(chat)


def _each(
    items: list[JSON], foreign: Mapping[str, object], path: str, out: list[str]
) -> Iterator[JSON]:
    for index, item in enumerate(items):
        at = f"{path}[{index}]"
        yield _without(item, foreign, at, out) if isinstance(item, dict) else item


def _without(value: Object, foreign: Mapping[str, object], path: str, out: list[str]) -> Object:
    out += [f"{path}.{key}" if path else key for key in value if key in foreign]
    return {key: item for key, item in value.items() if key not in foreign}
