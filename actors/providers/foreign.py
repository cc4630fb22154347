"""Calls without what only the API of their client knows, for formats of other APIs. Pure."""

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from actors.providers.base import JSON, ModelCall

Object = dict[str, JSON]


THINKING = "reasoning_content"
"""What a message was thought with, which Chat does not have, but some who speak it do."""


def as_chat(call: ModelCall, but_for: str | None = None) -> tuple[ModelCall, list[str]]:
    """The call as Chat has it, and the paths of what was left out; `but_for` this field, if any.

    A parameter that others say the same of is left out unnamed.
    """
    foreign = {name: said for name, said in call.foreign.items() if name != but_for}
    if not foreign:
        return call, []
    left_out: list[str] = []
    parameters = _without(call.parameters, foreign, "", left_out)
    left_out = [name for name in left_out if not foreign[name]]
    if isinstance(tools := parameters.get("tools"), list):
        parameters["tools"] = list(_each(tools, foreign, "tools", left_out))
    messages = [
        _message(message, foreign, f"messages[{index}]", left_out)
        for index, message in enumerate(call.messages)
    ]
    return replace(call, messages=messages, parameters=parameters, foreign={}), left_out


def thoughts(call: ModelCall) -> list[str]:
    """The paths of foreign thinking, for formats that take none back."""
    if THINKING not in call.foreign:
        return []
    places = enumerate(call.messages)
    return [f"messages[{index}].{THINKING}" for index, message in places if THINKING in message]


def restating(call: ModelCall) -> frozenset[str]:
    """Parameters that only say what a foreign one says as well: they are for other formats."""
    present = call.foreign.keys() & call.parameters.keys()
    return frozenset(said for name in present for said in call.foreign[name])


def _message(message: Object, foreign: Mapping[str, object], path: str, out: list[str]) -> Object:
    message = _without(message, foreign, path, out)
    for field in ("content", "tool_calls"):
        if isinstance(items := message.get(field), list):
            message[field] = list(_each(items, foreign, f"{path}.{field}", out))
    return message


def _each(
    items: list[JSON], foreign: Mapping[str, object], path: str, out: list[str]
) -> Iterator[JSON]:
    for index, item in enumerate(items):
        at = f"{path}[{index}]"
        yield _without(item, foreign, at, out) if isinstance(item, dict) else item


def _without(value: Object, foreign: Mapping[str, object], path: str, out: list[str]) -> Object:
    out += [f"{path}.{key}" if path else key for key in value if key in foreign]
    return {key: said for key, said in value.items() if key not in foreign}
