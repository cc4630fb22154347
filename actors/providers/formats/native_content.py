"""Leaves out of a call what belongs to other APIs: their signed reasoning, parts and tools. Pure.

A provider refuses what it did not sign itself, and blocks and tools that it doesn't have.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from actors.turn import messages as chat
from actors.turn.chat_messages import SIGNED
from actors.turn.model_call import ModelCall


def for_api(call: ModelCall, api: str) -> tuple[ModelCall, list[str]]:
    """Return the call for providers of the format `api`, and the paths of what was left out."""
    if not any(_is_foreign(message, api) for message in call.messages):
        return call, []
    left_out: list[str] = []
    messages = [
        _own(message, api, f"messages[{index}]", left_out) if _is_foreign(message, api) else message
        for index, message in enumerate(call.messages)
    ]
    return replace(call, messages=tuple(messages)), left_out


def _is_foreign(message: chat.Message, api: str) -> bool:
    content = message.content
    if type(content) is tuple:
        for part in content:
            if isinstance(part, chat.NativePart) and part.api != api:
                return True
    reasoning = message.reasoning if isinstance(message, chat.AssistantMessage) else ()
    return any(one.api not in (None, api) for one in reasoning)


def _own(message: chat.Message, api: str, path: str, left_out: list[str]) -> chat.Message:
    if isinstance(message.content, tuple):
        parts = [*_parts(message.content, api, f"{path}.content", left_out)]
        message = replace(message, content=_content(parts))
    if isinstance(message, chat.AssistantMessage):
        own = tuple(one for one in message.reasoning if one.api in (None, api))
        if len(own) < len(message.reasoning):
            left_out.append(f"{path}.{SIGNED}")
        message = replace(message, reasoning=own)
    return message


def _content(parts: list[chat.Part]) -> chat.Content:
    match parts:
        case []:
            return ""
        case [chat.TextPart(text, extras)] if not extras:
            return text
    return tuple(parts)


def _parts(
    parts: tuple[chat.Part, ...], api: str, path: str, left_out: list[str]
) -> Iterator[chat.Part]:
    for index, part in enumerate(parts):
        if not isinstance(part, chat.NativePart) or part.api == api:
            yield part
        elif part.text:
            yield chat.TextPart(part.text)
        else:
            left_out.append(f"{path}[{index}]")
