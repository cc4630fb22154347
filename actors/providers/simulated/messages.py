"""Tolerant readers of chat messages, which come from the client and may have any shape."""

from collections.abc import Iterator, Sequence

from actors.providers.simulated.prose import pieces
from actors.turn.model_call import JSON

Message = dict[str, JSON]


def text_of(message: Message) -> str:
    """Return the message's content, or its text parts joined."""
    return "".join(_texts(message.get("content")))


def last_text(messages: Sequence[Message], role: str) -> str:
    """Return the text of the last message with this role, or an empty string."""
    for message in reversed(messages):
        if message.get("role") == role:
            return text_of(message)
    return ""


def ends_with(messages: Sequence[Message], role: str) -> bool:
    """Return True if the last message has this role."""
    return bool(messages) and messages[-1].get("role") == role


def count_input_tokens(messages: Sequence[Message]) -> int:
    """Return the number of pieces of all texts; any other content part counts as one."""
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
