"""Removes vendor extensions of the client's API from calls to other APIs. Pure.

Extensions are the parameters and fields listed in `ModelCall.foreign`.
"""

from collections.abc import Mapping
from typing import TypeVar

from msgspec.structs import replace

from actors.turn.chat_messages import REASONING, SIGNED, is_signed, plain_reasoning
from actors.turn.messages import (
    JSON,
    AnyToolCall,
    AssistantMessage,
    Message,
    Part,
    ToolMessage,
)
from actors.turn.model_call import ModelCall

T = TypeVar("T", bound=Message | Part | AnyToolCall)

Object = dict[str, JSON]

THINKING = REASONING


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
        parameters["tools"] = [
            _without(tool, foreign, f"tools[{index}]", left_out) if isinstance(tool, dict) else tool
            for index, tool in enumerate(tools)
        ]
    messages = tuple(
        _plain_message(message, foreign, f"messages[{index}]", left_out)
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


def _plain_message(
    message: Message, foreign: Mapping[str, object], path: str, out: list[str]
) -> Message:
    message = _plain(message, foreign, path, out)
    if isinstance(message, ToolMessage) and message.is_error and "is_error" in foreign:
        out.append(f"{path}.is_error")
        message = replace(message, is_error=False)
    if isinstance(message, AssistantMessage) and message.reasoning:
        message = _without_reasoning(message, foreign, path, out)
    if isinstance(message.content, tuple):
        parts = _each_plain(message.content, foreign, f"{path}.content", out)
        message = replace(message, content=parts)
    if isinstance(message, AssistantMessage) and message.tool_calls:
        calls = _each_plain(message.tool_calls, foreign, f"{path}.tool_calls", out)
        message = replace(message, tool_calls=calls)
    return message


def _without_reasoning(
    message: AssistantMessage, foreign: Mapping[str, object], path: str, out: list[str]
) -> AssistantMessage:
    fields = [SIGNED if is_signed(one) else THINKING for one in message.reasoning]
    out += [f"{path}.{field}" for field in dict.fromkeys(fields) if field in foreign]
    pairs = zip(message.reasoning, fields, strict=True)
    return replace(message, reasoning=tuple(one for one, field in pairs if field not in foreign))


def _each_plain(
    items: tuple[T, ...], foreign: Mapping[str, object], path: str, out: list[str]
) -> tuple[T, ...]:
    return tuple(_plain(item, foreign, f"{path}[{at}]", out) for at, item in enumerate(items))


def _plain(item: T, foreign: Mapping[str, object], path: str, out: list[str]) -> T:
    """Return a message, part or call without its extra fields that are extensions."""
    if foreign.keys().isdisjoint(item.extras):
        return item
    return replace(item, extras=_without(item.extras, foreign, path, out))


def _without(value: Object, foreign: Mapping[str, object], path: str, out: list[str]) -> Object:
    out += [f"{path}.{key}" if path else key for key in value if key in foreign]
    return {key: item for key, item in value.items() if key not in foreign}
