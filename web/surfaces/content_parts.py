"""Reads content parts and plain messages for all model APIs.

Source: OpenAI's API reference, "Create chat completion" and, for `input_text`, `input_image` and
`output_text`, "Create a response".
"""

from collections.abc import Callable, Sequence

from actors.providers.formats.media import kind_of
from actors.turn import messages
from actors.turn.messages import JSON, Content, Message, Part, TextPart
from web.surfaces.media_parts import MEDIA_READERS
from web.surfaces.validation import Fields, wrong

MAX_PARTS = 1_000
"""Maximum number of parts of a message. Checking more would delay other streams."""
MAX_DEPTH = 10
"""Maximum nesting depth of lists of parts."""

_PART = "invalid_content_part"
Media = dict[str, str]
"""Kinds of media by their paths in a request."""

_ROLES: dict[JSON, Callable[..., Message]] = {
    "user": messages.UserMessage,
    "assistant": messages.AssistantMessage,
    "system": messages.SystemMessage,
}


def plain_message(message: JSON) -> Message | None:
    """Return a message that has only a role and a text, as nearly all have; None for others.

    A fast path, which takes a tenth of the time of the full reading.
    """
    if type(message) is not dict or len(message) != 2:
        return None
    content, role = message.get("content"), message.get("role")
    if type(content) is not str or type(role) is not str or role not in _ROLES:
        return None
    return _ROLES[role](content=content)


def joined(parts: Sequence[Part]) -> Content:
    """Return the parts as message content.

    A single plain text becomes a string, the form that all servers accept.
    """
    match parts:
        case [TextPart(text, extras)] if not extras:
            return text
    return tuple(parts)


def flat_parts(content: JSON, path: str, media: Media | None = None) -> list[Part]:
    """Return the content parts at `path` as a flat list. Raises `ApiError` (400).

    Nested lists are flattened, and errors have the path of the part in them. The kinds of media
    are added to `media`.
    """
    if not isinstance(content, list):
        raise wrong(path, "must be a string or a list of content parts.", _PART)
    parts: list[Part] = []
    _flatten(content, path, 0, parts, media)
    return parts


def _flatten(
    items: Sequence[JSON], path: str, depth: int, parts: list[Part], media: Media | None
) -> None:
    if depth > MAX_DEPTH:
        raise wrong(path, f"lists of content parts may be nested at most {MAX_DEPTH} deep.", _PART)
    for index, item in enumerate(items):
        at = f"{path}[{index}]"
        if type(item) is list:
            _flatten(item, at, depth + 1, parts, media)
        else:
            parts.append(part := _part(item, at))
            if media is not None and (kind := kind_of(part)) is not None:
                media[at] = kind
        if len(parts) > MAX_PARTS:
            raise wrong(
                path, f"there may be at most {MAX_PARTS} content parts in a message.", _PART
            )


def _part(item: JSON, path: str) -> Part:
    if isinstance(item, str):
        return TextPart(item)
    part = Fields(item, path, _PART)
    kind = part.values.get("type")
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is None:
        text = f"content parts may be of type {', '.join(_READERS)}."
        raise wrong(part.at("type"), text, "unsupported_content_type")
    return read(part)


def _text(part: Fields) -> Part:
    return TextPart(part.text("text"), part.rest("type", "text"))


def _output_text(part: Fields) -> Part:
    # Annotations and logprobs belong to answers; requests to providers have no field for them.
    return TextPart(part.text("text"))


def _refusal(part: Fields) -> Part:
    return messages.RefusalPart(part.text("refusal"), part.rest("type", "refusal"))


_READERS: dict[str, Callable[[Fields], Part]] = {
    "text": _text,
    "input_text": _text,
    "output_text": _output_text,
    "refusal": _refusal,
    **MEDIA_READERS,
}
