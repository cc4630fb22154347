"""Reading a chat's messages, which are the client's own and may hold anything."""

from collections.abc import Iterator, Sequence

from actors.providers.base import JSON
from actors.providers.simulated.prose import pieces

Message = dict[str, JSON]


def text_of(message: Message) -> str:
    """The text of a message: its content, or the text parts of it, joined."""
    return "".join(_texts(message.get("content")))


def last_text(messages: Sequence[Message], role: str) -> str:
    """The text of the last message of this role, or nothing."""
    for message in reversed(messages):
        if message.get("role") == role:
            return text_of(message)
    return ""


def ends_with(messages: Sequence[Message], role: str) -> bool:
    """Whether the last message is of this role."""
    return bool(messages) and messages[-1].get("role") == role


def count_input_tokens(messages: Sequence[Message]) -> int:
    """Pieces of all texts; any other content part counts as one."""
    return sum(len(pieces(text_of(message))) + _other_parts(message) for message in messages)


def _texts(content: JSON) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for part in content:
            if isinstance(part, str):
                yield part
            elif isinstance(part, dict) and isinstance(part.get("text"), str):
                yield part["text"]


def _other_parts(message: Message) -> int:
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    return sum(1 for part in parts if isinstance(part, dict) and "text" not in part)
