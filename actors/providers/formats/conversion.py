"""Helpers for converting messages to those of a provider's API. Pure.

What an API cannot express is reported by path and never raises.
"""

from base64 import b64encode
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeVar
from urllib.parse import unquote_to_bytes

import msgspec
from msgspec import Raw, Struct

from actors.turn import messages as chat
from actors.turn.chat_messages import REASONING, Object, plain_reasoning

T = TypeVar("T")

_READ = ("role",)
"""Extra fields of messages that all formats read."""


def parts_of(message: chat.Message, path: str) -> Iterator[tuple[str, chat.Part]]:
    """Yield the paths and parts of a message; a plain string and a refusal are parts too."""
    if isinstance(message.content, tuple):
        for index, part in enumerate(message.content):
            yield f"{path}.content[{index}]", part
    elif message.content:
        yield f"{path}.content", chat.TextPart(message.content)
    if isinstance(message, chat.AssistantMessage) and message.refusal:
        yield f"{path}.refusal", chat.RefusalPart(message.refusal)


def calls_of(
    message: chat.AssistantMessage, path: str, left_out: list[str]
) -> Iterator[tuple[chat.ToolCall, Raw]]:
    """Yield the function calls of a message with their arguments, unchanged.

    Other calls are reported, as are arguments that aren't a JSON object: they become `{}`.
    """
    for index, call in enumerate(message.tool_calls):
        where = f"{path}.tool_calls[{index}]"
        if isinstance(call, chat.ToolCall):
            yield call, _arguments(call.arguments, where, left_out)
        else:
            left_out.append(where)


def _arguments(arguments: str, path: str, left_out: list[str]) -> Raw:
    blank = not arguments.strip()
    if blank or object_of(arguments) is None:
        left_out += [] if blank else [f"{path}.function.arguments"]
        return Raw(b"{}")
    return Raw(arguments.encode())


def unknown_fields(message: chat.Message, path: str, *known: str) -> list[str]:
    """Return the paths of message fields that not all APIs have and that aren't `known`.

    Reasoning isn't reported.
    """
    failed = isinstance(message, chat.ToolMessage) and message.is_error
    return [f"{path}.is_error"] * failed + extra_fields(message.extras, path, *known)


def unsigned_reasoning(message: chat.Message, path: str) -> list[str]:
    """Return the path of reasoning without a signature, which few APIs take back."""
    plain = isinstance(message, chat.AssistantMessage) and plain_reasoning(message)
    return [f"{path}.{REASONING}"] if plain else []


def extra_fields(extras: chat.Extras, path: str, *known: str) -> list[str]:
    """Return the paths of non-empty extra fields that aren't `known`."""
    known = (*known, *_READ)
    return [f"{path}.{name}" for name, value in extras.items() if value and name not in known]


def extra_part_fields(part: chat.Part, path: str, *known: str) -> list[str]:
    """Return the paths of extra fields of a part that aren't `known`."""
    # The extras of other parts are all that they have, and reported as a whole.
    return [] if isinstance(part, chat.OtherPart) else extra_fields(part.extras, path, *known)


def tool_names(messages: Iterable[chat.Message]) -> dict[str | None, str]:
    """Return the function name of each tool call of the conversation, by call id."""
    return {
        call.id: call.name
        for message in messages
        if isinstance(message, chat.AssistantMessage)
        for call in message.tool_calls
        if isinstance(call, chat.ToolCall) and call.id
    }


def tool_name(
    message: chat.ToolMessage, names: dict[str | None, str], path: str, left_out: list[str]
) -> str | None:
    """Return the name of the tool that a result is of; report the call id if it is unknown."""
    name = names.get(message.tool_call_id) or message.name
    if not name:
        left_out.append(f"{path}.tool_call_id")
    return name


class Turn(Struct, frozen=True):
    """The parts of consecutive messages of one role."""

    role: str
    parts: list[Object]


def interleaved(
    reasoning: Iterable[chat.Reasoning], others: Iterable[T]
) -> Iterator[chat.Reasoning | T]:
    """Yield a message's parts and calls in order, with the reasoning between them.

    Reasoning that no provider signed is left out.
    """
    waiting = deque(one for one in reasoning if one.api is not None)
    for place, other in enumerate(others):
        while waiting and waiting[0].after <= place:
            yield waiting.popleft()
        yield other
    yield from waiting


def append_turn(turns: list[Turn], role: str, parts: list[Object]) -> None:
    """Append parts to the last turn if it has the same role, or else as a new turn."""
    if turns and turns[-1].role == role:
        turns[-1].parts.extend(parts)
    elif parts:
        turns.append(Turn(role, parts))


def object_of(text: str) -> Object | None:
    """Return the object in a JSON text, or None if it is another value or invalid."""
    try:
        value: chat.JSON = msgspec.json.decode(text)
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
