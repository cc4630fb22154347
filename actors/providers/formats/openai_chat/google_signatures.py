"""Signs tool calls from elsewhere for Google's models behind a server that speaks Chat. Pure.

Models from Gemini 3 on answer 400 if the first call of a message has no thought signature. Google
documents a placeholder for calls that another model made ("Thought signatures").
"""

import re
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from actors.turn import messages as chat
from actors.turn.chat_messages import CALL_FIELDS, CHAT_API, OF_CALL

_SIGNING = re.compile(r"(?:google/|models/)?gemini-(?![12]\b)")
_PLACEHOLDER: chat.Extras = {
    "extra_content": {"google": {"thought_signature": "skip_thought_signature_validator"}}
}


def with_signatures(messages: Iterable[chat.Message], model: str) -> Iterator[chat.Message]:
    """Yield the messages; for models that want it, the first call of each has a signature."""
    signing = _SIGNING.match(model) is not None
    for message in messages:
        if signing and isinstance(message, chat.AssistantMessage) and _is_unsigned(message):
            first, *others = message.tool_calls
            signed = replace(first, extras={**_PLACEHOLDER, **first.extras})
            message = replace(message, tool_calls=(signed, *others))
        yield message


def _is_unsigned(message: chat.AssistantMessage) -> bool:
    states = (one.state for one in message.reasoning if one.api == CHAT_API)
    signed = any(OF_CALL in state for state in states)
    calls = message.tool_calls
    return bool(calls) and not signed and not any(name in calls[0].extras for name in CALL_FIELDS)
