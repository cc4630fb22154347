"""Rewriting: replaces whole texts of a call, wherever they stand in it. Pure."""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from actors.turn.messages import (
    Content,
    Message,
    NativePart,
    OtherPart,
    Part,
    SystemMessage,
    TextPart,
    texts_of,
)
from actors.turn.model_call import JSON, ModelCall, NativeRequest

M = TypeVar("M", bound=Message)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def rewritten_call(call: ModelCall, replacements: Mapping[str, str]) -> ModelCall:
    """Return the call with its texts replaced, also in the form of the client's own API."""
    messages = tuple(rewritten_message(message, replacements) for message in call.messages)
    native = call.native and _rewritten_native(call.native, messages, replacements)
    return replace(call, messages=messages, native=native)


def with_system(call: ModelCall, change: Callable[[str], str]) -> ModelCall:
    """Return the call with its system prompt changed, also in the form of the client's own API."""
    system = [one for one in call.messages if isinstance(one, SystemMessage)]
    texts = {text for one in system for text in texts_of(one.content) if text.strip()}
    if not texts:
        return call
    changed = {text: change(text) for text in texts}
    messages = tuple(
        rewritten_message(one, changed) if isinstance(one, SystemMessage) else one
        for one in call.messages
    )
    native = call.native and _rewritten_native(call.native, messages, changed)
    return replace(call, messages=messages, native=native)


def rewritten_message(message: M, replacements: Mapping[str, str]) -> M:
    """Return the message with its texts replaced."""
    return replace(message, content=_content(message.content, replacements))


def rewritten_json(text: str, replacements: Mapping[str, str]) -> str:
    """Return a JSON text with those of its strings replaced that are such texts."""
    return _encode(_value(_decode(text), replacements)).decode()


def _rewritten_native(
    native: NativeRequest, messages: tuple[Message, ...], replacements: Mapping[str, str]
) -> NativeRequest:
    items = tuple(
        {name: _value(value, replacements) for name, value in item.items()} for item in native.items
    )
    parameters = {name: _value(value, replacements) for name, value in native.parameters.items()}
    same = messages[: len(native.messages)]
    return replace(native, messages=same, items=items, parameters=parameters)


def _content(content: Content, replacements: Mapping[str, str]) -> Content:
    if isinstance(content, str):
        return replacements.get(content, content)
    if not content:
        return content
    return tuple(_part(part, replacements) for part in content)


def _part(part: Part, replacements: Mapping[str, str]) -> Part:
    match part:
        case TextPart(text):
            return replace(part, text=replacements.get(text, text))
        case OtherPart(extras):
            return OtherPart({name: _value(one, replacements) for name, one in extras.items()})
        case NativePart(_, item, text):
            # Its text for other APIs is made of its strings.
            for one in strings_in(item):
                if one in replacements:
                    text = text.replace(one, replacements[one])
            item = {name: _value(one, replacements) for name, one in item.items()}
            return replace(part, item=item, text=text)
        case _:
            return part


def strings_in(value: JSON) -> Iterator[str]:
    """Yield the strings in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from strings_in(one)


def _value(value: JSON, replacements: Mapping[str, str]) -> JSON:
    """Return a JSON value with its strings replaced. Requests are not nested deeply."""
    if isinstance(value, str):
        return replacements.get(value, value)
    if isinstance(value, dict):
        return {name: _value(one, replacements) for name, one in value.items()}
    if isinstance(value, list):
        return [_value(one, replacements) for one in value]
    return value
