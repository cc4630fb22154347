"""Content blocks of a Messages request become content parts of a chat.

Source: Anthropic's API reference, "Create a message". Written by hand and not with pydantic, as
`content_parts` is, and for its reasons. Fields that only this API has stay where they are, and
their names are kept apart, so that routes with another API can leave them out by name.
"""

import re
from collections.abc import Callable, Iterator, Sequence

from actors.providers.base import JSON
from web.content_parts import MAX_PARTS, MAX_URL, is_base64, is_http_url
from web.errors import ApiError, invalid

Block = dict[str, JSON]
Part = dict[str, JSON]
Kept = set[str]
"""Names of fields that only this API has."""

_IMAGE = "invalid_image_url"
_MEDIA = re.compile(r"image/[a-z0-9.+-]{1,100}", re.IGNORECASE)
_CHATS_OWN = frozenset(
    {
        "arguments",
        "content",
        "detail",
        "function",
        "id",
        "image_url",
        "name",
        "reasoning_content",
        "refusal",
        "role",
        "text",
        "tool_call_id",
        "tool_calls",
        "type",
        "url",
    }
)
"""Fields that mean something else in a chat."""


def content_of(content: JSON, path: str, kept: Kept) -> JSON:
    """A content of text and images; raises `ApiError` (400) with the path of what is wrong."""
    if isinstance(content, str):
        return content
    return said([part_of(block, at, kept) for at, block in blocks_in(content, path)])


def text_of(content: JSON, path: str, kept: Kept) -> JSON:
    """The same for a content that may only be text."""
    if isinstance(content, str):
        return content
    return said(
        [part_of(block, at, kept, only_text=True) for at, block in blocks_in(content, path)]
    )


def said(parts: list[Part]) -> JSON:
    """Parts as a message's content; nothing but a text is that text, which all servers take."""
    if not parts:
        return ""
    lone = parts[0]
    return lone["text"] if len(parts) == 1 and lone.keys() == {"type", "text"} else parts


def blocks_in(content: JSON, path: str) -> Iterator[tuple[str, Block]]:
    """The blocks of a content and their paths."""
    if content is None:
        raise missing(path)
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, Sequence):
        raise wrong(path, "must be a string or a list of content blocks.")
    if len(content) > MAX_PARTS:
        raise wrong(path, f"there may be at most {MAX_PARTS} content blocks in a message.")
    for index, block in enumerate(content):
        at = f"{path}[{index}]"
        if not isinstance(block, dict):
            raise wrong(at, "a content block must be an object that has a type.")
        yield at, block


def part_of(block: Block, path: str, kept: Kept, *, only_text: bool = False) -> Part:
    """A block of text or an image as a content part."""
    kind = block.get("type")
    types = ("text",) if only_text else tuple(_READERS)
    if not isinstance(kind, str) or kind not in types:
        raise unknown_type(path, types)
    read, field = _READERS[kind]
    return read(block, path) | extras(block, ("type", field), path, kept)


def unknown_type(path: str, types: Sequence[str]) -> ApiError:
    """A 400: there is no such block here."""
    path = f"{path}.type"
    words = f"content blocks may be of type {', '.join(types)} here."
    return invalid(f"{path}: {words}", param=path, code="unsupported_content_type")


def extras(block: Block, known: Sequence[str], path: str, kept: Kept) -> Block:
    """What else a block says; fields that say nothing (null) are left out."""
    more = {key: value for key, value in block.items() if key not in known and value is not None}
    for key in more:
        if key in _CHATS_OWN:
            raise wrong(f"{path}.{key}", "there is no such field here.")
    kept.update(more)
    return more


def string(block: Block, field: str, path: str) -> str:
    """A field that has to be there, and to be a string."""
    value = block.get(field)
    if value is None:
        raise missing(f"{path}.{field}")
    if not isinstance(value, str):
        raise wrong(f"{path}.{field}", "must be a string.")
    return value


def missing(path: str) -> ApiError:
    """A 400: the field at `path` has to be there."""
    return invalid(f"{path}: field required.", param=path, code="missing_required_parameter")


def wrong(path: str, words: str, code: str = "invalid_value") -> ApiError:
    """A 400: the field at `path` cannot be taken."""
    return invalid(f"{path}: {words}", param=path, code=code)


def _text(block: Block, path: str) -> Part:
    return {"type": "text", "text": string(block, "text", path)}


def _image(block: Block, path: str) -> Part:
    path = f"{path}.source"
    source = block.get("source")
    if source is None:
        raise missing(path)
    if not isinstance(source, dict):
        raise wrong(path, "must be an object that has a type.")
    match source.get("type"):
        case "base64":
            url = _data_url(source, path)
        case "url":
            url = _http_url(string(source, "url", path), f"{path}.url")
        case _:
            raise wrong(f"{path}.type", "must be base64 or url; there are no files here.", _IMAGE)
    return {"type": "image_url", "image_url": {"url": url}}


def _http_url(url: str, path: str) -> str:
    if len(url) > MAX_URL:
        raise wrong(path, f"an http(s) URL may have at most {MAX_URL} characters.", _IMAGE)
    if not is_http_url(url):
        raise wrong(path, "must be an http(s) URL.", _IMAGE)
    return url


def _data_url(source: Block, path: str) -> str:
    media, data = string(source, "media_type", path), string(source, "data", path)
    if not _MEDIA.fullmatch(media):
        raise wrong(f"{path}.media_type", "must be an image's, such as image/png.", _IMAGE)
    if not is_base64(data):
        raise wrong(f"{path}.data", "must be base64, its padding included.", _IMAGE)
    return f"data:{media};base64,{data}"


_READERS: dict[str, tuple[Callable[[Block, str], Part], str]] = {
    "text": (_text, "text"),
    "image": (_image, "source"),
}
"""Each type's reader, and the field that it reads."""
