"""Questions about the messages of a call that the simulated provider answers."""

from collections.abc import Sequence

from actors.providers.simulated.prose import count_pieces
from actors.turn.messages import Message, TextPart, text_of


def last_text(messages: Sequence[Message], role: str) -> str:
    """Return the text of the last message with this role, or an empty string."""
    return next((text_of(message) for message in reversed(messages) if message.role == role), "")


def ends_with(messages: Sequence[Message], role: str) -> bool:
    """Return True if the last message has this role."""
    return bool(messages) and messages[-1].role == role


def count_input_tokens(messages: Sequence[Message]) -> int:
    """Return the number of pieces of all texts; any other content part counts as one."""
    return sum(count_pieces(text_of(message)) + _other_parts(message) for message in messages)


def _other_parts(message: Message) -> int:
    content = message.content
    parts = content if isinstance(content, tuple) else ()
    return sum(not isinstance(part, TextPart) for part in parts)
