"""Helpers for converting messages to those of a provider's API. Pure.

What an API cannot express is reported by path and never raises.
"""

from base64 import b64encode
from collections.abc import Iterable, Iterator
from urllib.parse import unquote_to_bytes

import msgspec
from msgspec import Raw

from actors.turn.chat_messages import SIGNED, signed_blocks
from actors.turn.messages import (
    JSON,
    AnyToolCall,
    AssistantMessage,
    Extras,
    Message,
    Part,
    RefusalPart,
    TextPart,
    ToolCall,
    ToolMessage,
)

_UNREPORTED = ("reasoning", "role", "tool_call_id")
"""Extra fields of messages that formats read, or drop as they drop reasoning without signature."""


def parts_of(message: Message, path: str) -> Iterator[tuple[str, Part]]:
    """Yield the paths and parts of a message; a plain string and a refusal are parts too."""
    if isinstance(message.content, tuple):
        for index, part in enumerate(message.content):
            yield f"{path}.content[{index}]", part
    elif message.content:
        yield f"{path}.content", TextPart(message.content)
    if isinstance(message, AssistantMessage) and message.refusal:
        yield f"{path}.refusal", RefusalPart(message.refusal)


def calls_of(message: AssistantMessage, path: str) -> Iterator[tuple[str, AnyToolCall]]:
    """Yield the paths and tool calls of a message."""
    for index, call in enumerate(message.tool_calls):
        yield f"{path}.tool_calls[{index}]", call


def unknown_fields(message: Message, path: str) -> list[str]:
    """Return the paths of message fields that not all APIs have.

    Reasoning without a signature isn't reported.
    """
    found: list[str] = []
    if isinstance(message, ToolMessage) and message.is_error:
        found.append(f"{path}.is_error")
    if isinstance(message, AssistantMessage) and signed_blocks(message):
        found.append(f"{path}.{SIGNED}")
    return found + extra_fields(message.extras, path)


def extra_fields(extras: Extras, path: str, *known: str) -> list[str]:
    """Return the paths of non-empty extra fields that aren't `known`."""
    known = (*known, *_UNREPORTED)
    return [f"{path}.{name}" for name, value in extras.items() if value and name not in known]


def tool_names(messages: Iterable[Message]) -> dict[str | None, str]:
    """Return the function name of each tool call of the conversation, by call id."""
    return {
        call.id: call.name
        for message in messages
        if isinstance(message, AssistantMessage)
        for call in message.tool_calls
        if isinstance(call, ToolCall) and call.id
    }


def arguments_of(call: ToolCall, path: str, left_out: list[str]) -> Raw:
    """Return a call's arguments unchanged, or `{}` with a report if they aren't a JSON object."""
    if not call.arguments.strip():
        return Raw(b"{}")
    if object_of(call.arguments) is None:
        left_out.append(f"{path}.function.arguments")
        return Raw(b"{}")
    return Raw(call.arguments.encode())


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
