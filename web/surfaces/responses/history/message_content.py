"""Converts the content of items to that of messages. Pure.

`responses.input.items` validates it, and converts it the other way.
"""

from actors.providers.formats.media import kind_of
from actors.turn import messages
from actors.turn.chat_messages import read_part
from actors.turn.messages import Content, Part, TextPart
from actors.turn.model_call import JSON
from web.surfaces.content_parts import joined
from web.surfaces.responses.input.items import Item


def content_of(parts: JSON) -> Content:
    """Convert an item's content or output to a message's; a single plain text is a string."""
    if not isinstance(parts, list):
        return str(parts)
    return _plain_text(parts) or joined(parts_in(parts))


def parts_in(content: JSON) -> list[Part]:
    """Return the parts of an item's content or output; a string has none."""
    given = content if isinstance(content, list) else ()
    return [_part(part) for part in given if isinstance(part, dict)]


def kinds_in(content: Content) -> set[str]:
    """Return the kinds of media in a message's content."""
    parts = content if isinstance(content, tuple) else ()
    return {kind for part in parts if (kind := kind_of(part)) is not None}


def _plain_text(parts: list[JSON]) -> str | None:
    """Return the text if it is the whole content, as in nearly all messages; a fast path."""
    part = parts[0] if len(parts) == 1 else None
    if type(part) is not dict:
        return None
    kind = part["type"]
    is_plain = kind == "output_text" or (kind == "input_text" and len(part) == 2)
    return str(part["text"]) if is_plain else None


def _part(part: Item) -> Part:
    match part["type"]:
        case "output_text":
            # Annotations and logprobs belong to answers; requests have no field for them.
            return TextPart(str(part["text"]))
        case "input_text":
            return TextPart(str(part["text"]), _others(part, "text"))
        case "refusal":
            return messages.RefusalPart(str(part["refusal"]))
        case "input_image":
            return _image(part)
        case "input_audio":
            return read_part(part)
        case "input_video":
            return messages.VideoPart(str(part["video_url"]), _others(part, "video_url"))
        case "input_file":
            names = ("file_data", "file_url", "file_id", "filename")
            data, url, _, filename = (part.get(name) for name in names)
            return messages.FilePart(
                url=_text(data) or _text(url),
                file_id=_file_id(part),
                filename=_text(filename),
                extras=_others(part, *names),
            )
    return messages.OtherPart(part)


def _image(part: Item) -> Part:
    detail = part.get("detail")
    shown = None if detail in (None, "auto") else str(detail)
    others = _others(part, "image_url", "file_id", "detail")
    return messages.ImagePart(str(part.get("image_url", "")), shown, others, _file_id(part))


def _file_id(part: Item) -> messages.FileId | None:
    id = part.get("file_id")
    return messages.FileId("openai", id) if isinstance(id, str) else None


def _text(value: JSON) -> str | None:
    return value if isinstance(value, str) else None


def _others(part: Item, *known: str) -> Item:
    return {name: value for name, value in part.items() if name not in ("type", *known)}
