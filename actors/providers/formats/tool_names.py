"""Shortens names of tools that a provider would refuse. Pure.

Clients may use longer names than providers accept, such as `mcp__plugin_video-strategist__…`.
`answer_calls` restores them in the answer.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from hashlib import sha256

from msgspec import Struct
from msgspec.structs import replace

from actors.turn import messages as chat
from actors.turn.chat_messages import Object
from actors.turn.model_call import JSON, ModelCall, NativeRequest

_NAMED = frozenset({"function", "custom", "function_call", "custom_tool_call"})
"""Types of the tools and calls of Responses that have a name which the client chose."""
_DIGITS = 8
"""Hexadecimal digits of the digest in a shortened name; more if two names would be equal."""


class NameRule(Struct, frozen=True):
    """The names that a provider accepts."""

    longest: int
    forbidden: re.Pattern[str]
    """Matches the characters that a name must not have."""
    beginning: re.Pattern[str] | None = None
    """Matches the beginning that a name must have."""

    def accepts(self, name: str) -> bool:
        """Return whether the provider accepts the name."""
        begins = self.beginning is None or self.beginning.match(name)
        return bool(begins and 0 < len(name) <= self.longest and not self.forbidden.search(name))

    def shortened(self, name: str, taken: Collection[str]) -> str:
        """Return an accepted name that isn't `taken`; it is the same in every request."""
        digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        plain = self.forbidden.sub("_", name)
        if self.beginning is not None and not self.beginning.match(plain):
            plain = f"_{plain}"
        for digits in range(_DIGITS, self.longest - 1):
            short = f"{plain[: self.longest - digits - 1]}_{digest[:digits]}"
            if short not in taken:
                break
        return short


OPENAI_NAMES = NameRule(64, re.compile(r"[^A-Za-z0-9_-]"))
"""Names of functions in OpenAI's APIs (API reference, "FunctionDefinition")."""


def with_accepted_names(
    call: ModelCall, rule: NameRule | None, *, calling: bool
) -> tuple[ModelCall, Mapping[str, str]]:
    """Return the call with names that the rule accepts, and the client's names by those sent.

    `calling` is False if there are no calls in its history.
    """
    if rule is None:
        return call, {}
    if call.native is not None:
        names = {*_flat_names(call.native)}
    else:
        names = {*_names_of_tools(call.parameters), *(_names_of_calls(call) if calling else ())}
    refused = sorted(name for name in names if not rule.accepts(name))
    if not refused:
        return call, {}
    sent: dict[str, str] = {}
    for name in refused:
        sent[name] = rule.shortened(name, names)
        names.add(sent[name])
    restored = {short: name for name, short in sent.items()}
    if call.native is not None:
        return replace(call, native=_flat_renamed(call.native, sent)), restored
    parameters = {**call.parameters}
    for field in ("tools", "tool_choice"):
        if field in parameters:
            parameters[field] = _renamed(parameters[field], sent)
    messages = tuple(_with_names(message, sent) for message in call.messages)
    return replace(call, parameters=parameters, messages=messages), restored


def _names_of_tools(parameters: Mapping[str, JSON]) -> Iterator[str]:
    tools = parameters.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        match tool:
            case {"function": {"name": str(name)}} | {"custom": {"name": str(name)}}:
                yield name


def _names_of_calls(call: ModelCall) -> Iterator[str]:
    for message in call.messages:
        if isinstance(message, chat.AssistantMessage):
            for made in message.tool_calls:
                if not isinstance(made, chat.OtherToolCall):
                    yield made.name


def _with_names(message: chat.Message, sent: Mapping[str, str]) -> chat.Message:
    match message:
        case chat.AssistantMessage(tool_calls=calls) if calls:
            return replace(message, tool_calls=tuple(_with_name(call, sent) for call in calls))
        case chat.ToolMessage(name=str(name)) if name in sent:
            return replace(message, name=sent[name])
    return message


def _with_name(call: chat.AnyToolCall, sent: Mapping[str, str]) -> chat.AnyToolCall:
    if isinstance(call, chat.OtherToolCall) or call.name not in sent:
        return call
    return replace(call, name=sent[call.name])


def _renamed(value: JSON, sent: Mapping[str, str]) -> JSON:
    """Return tools or a choice of tools with other names, in the nested form of Chat."""
    if isinstance(value, list):
        return [_renamed(one, sent) for one in value]
    if not isinstance(value, dict):
        return value
    renamed = {**value}
    for kind in ("function", "custom"):
        match value.get(kind):
            case {"name": str(name), **rest} if name in sent:
                renamed[kind] = {"name": sent[name], **rest}
    match value.get("allowed_tools"):
        case {"tools": tools, **rest}:
            renamed["allowed_tools"] = {**rest, "tools": _renamed(tools, sent)}
    return renamed


def _flat_names(native: NativeRequest) -> Iterator[str]:
    for value in (*_objects(native.parameters.get("tools")), *native.items):
        for one in (value, *_inner(value)):
            if _is_named(one):
                yield str(one["name"])


def _flat_renamed(native: NativeRequest, sent: Mapping[str, str]) -> NativeRequest:
    """Return the request with other names of tools, in the flat form of Responses."""
    parameters = {**native.parameters}
    for field in ("tools", "tool_choice"):
        match parameters.get(field):
            case [*tools]:
                parameters[field] = [_flat(tool, sent) for tool in _objects(tools)]
            case dict(choice):
                parameters[field] = _flat(choice, sent)
    items = tuple(_flat(item, sent) for item in native.items)
    return replace(native, items=items, parameters=parameters)


def _flat(value: Object, sent: Mapping[str, str]) -> Object:
    if inner := _inner(value):
        value = {**value, "tools": [_flat_one(tool, sent) for tool in inner]}
    return _flat_one(value, sent)


def _flat_one(value: Object, sent: Mapping[str, str]) -> Object:
    name = str(value.get("name"))
    return {**value, "name": sent[name]} if name in sent and _is_named(value) else value


def _inner(value: Object) -> list[Object]:
    """Return the tools in a choice or an item; those of a namespace have names in it."""
    return [] if value.get("type") == "namespace" else _objects(value.get("tools"))


def _is_named(value: Object) -> bool:
    return value.get("type") in _NAMED and not value.get("namespace")


def _objects(value: JSON) -> list[Object]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
