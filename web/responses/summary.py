"""Compaction items: a conversation's summary, which a client keeps and hands in again.

Opaque and no secret: the API calls the field `encrypted_content`, here it is base64. A client that
makes one up says nothing that it could not have said in a message.
"""

from base64 import b64decode, b64encode

from actors.providers.base import JSON

_MARK = "trouper1."
_HEAD = "Summary of the conversation so far:\n\n"


def seal(summary: str) -> str:
    """The `encrypted_content` of a summary."""
    return _MARK + b64encode(summary.encode()).decode()


def unseal(content: str) -> str | None:
    """The summary; None where this is not one of ours."""
    if not content.startswith(_MARK):
        return None
    try:
        return b64decode(content.removeprefix(_MARK).encode(), validate=True).decode()
    except ValueError:
        return None


def summary_message(content: JSON) -> dict[str, JSON]:
    """A compaction item as a chat message; the user's, who alone answers for what is in it."""
    summary = unseal(content) if isinstance(content, str) else None
    return {"role": "user", "content": _HEAD + (summary or "")}
