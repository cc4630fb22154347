"""Encodes and decodes the summary in a compaction item, which the client sends back later.

The API calls the field `encrypted_content`. Here it is base64: it is opaque, but not secret. A
client that forges one can say no more than it could in a message.
"""

from base64 import b64decode, b64encode

from actors.turn.messages import UserMessage
from actors.turn.model_call import JSON

MARK = "trouper1."
"""Beginning of what this server made; a provider's own compactions begin otherwise."""
_HEAD = "Summary of the conversation so far:\n\n"


def seal(summary: str) -> str:
    """Return the `encrypted_content` of a summary."""
    return MARK + b64encode(summary.encode()).decode()


def unseal(content: str) -> str | None:
    """Return the summary in `encrypted_content`, or None if this server did not make it."""
    if not content.startswith(MARK):
        return None
    try:
        return b64decode(content.removeprefix(MARK).encode(), validate=True).decode()
    except ValueError:
        return None


def summary_message(content: JSON) -> UserMessage | None:
    """Return a compaction item as a message, or None if this server did not make it.

    It has the role `user`, since the client controls its content.
    """
    summary = unseal(content) if isinstance(content, str) else None
    return None if summary is None else UserMessage(_HEAD + summary)
