"""Converts the content blocks of a Messages request to content parts of a chat.

Fields that only Anthropic's API has stay in the converted parts. Their names are collected, so that
routes with another API can remove them by name. Validated by hand and not with pydantic, for the
same reasons as `web.surfaces.content_parts`. Source: Anthropic's API reference, "Create a message".
"""

import re
from collections.abc import Callable, Iterator, Sequence

from actors.turn.model_call import JSON
from web.http.api_error import ApiError, invalid
from web.surfaces.content_parts import MAX_PARTS, MAX_URL, is_base64, is_http_url

Block = dict[str, JSON]
Part = dict[str, JSON]
VendorFields = set[str]
"""Names of the fields found in a request that only Anthropic's API has."""

_IMAGE = "invalid_image_url"
_MEDIA = re.compile(r"image/[a-z0-9.+-]{1,100}", re.IGNORECASE)
_CHAT_FIELDS = frozenset(
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
"""Field names with a meaning in a chat; on a block they would be misread."""


def content_of(content: JSON, path: str, vendor_fields: VendorFields) -> JSON:
    """Convert content of text and images; raises `ApiError` (400) with the path of the error."""
    if isinstance(content, str):
        return content
    return content_from_parts(
        [part_of(block, at, vendor_fields) for at, block in blocks_in(content, path)]
    )


def text_of(content: JSON, path: str, vendor_fields: VendorFields) -> JSON:
    """Convert content that may only be text; raises `ApiError` (400)."""
    if isinstance(content, str):
        return content
    return content_from_parts(
        [
            part_of(block, at, vendor_fields, only_text=True)
            for at, block in blocks_in(content, path)
        ]
    )


def content_from_parts(parts: list[Part]) -> JSON:
    """Return the parts as message content.

    A single plain text becomes a string, the form that all servers accept.
    """
    if not parts:
        return ""
    lone = parts[0]
    return lone["text"] if len(parts) == 1 and lone.keys() == {"type", "text"} else parts


def blocks_in(content: JSON, path: str) -> Iterator[tuple[str, Block]]:
    """Yield the path and the block of each content block; raises `ApiError` (400)."""
    if content is None:
        raise missing(path)
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, Sequence):
        raise wrong(path, "must be a string or a list of content blocks.")
    if len(content) > MAX_PARTS:
        raise wrong(path, f"may have at most {MAX_PARTS} content blocks.")
    for index, block in enumerate(content):
        at = f"{path}[{index}]"
        if not isinstance(block, dict):
            raise wrong(at, "must be a content block, an object with a type.")
        yield at, block


def part_of(
    block: Block, path: str, vendor_fields: VendorFields, *, only_text: bool = False
) -> Part:
    """Convert a text or image block to a content part; raises `ApiError` (400)."""
    kind = block.get("type")
    types = ("text",) if only_text else tuple(_READERS)
    if not isinstance(kind, str) or kind not in types:
        raise unknown_type(path, types)
    read, field = _READERS[kind]
    return read(block, path) | extras(block, ("type", field), path, vendor_fields)


def unknown_type(path: str, types: Sequence[str]) -> ApiError:
    """Return a 400 for a content block whose type is not among `types`."""
    path = f"{path}.type"
    words = f"must be one of {', '.join(types)}."
    return invalid(f"{path}: {words}", param=path, code="unsupported_content_type")


def extras(block: Block, known: Sequence[str], path: str, vendor_fields: VendorFields) -> Block:
    """Return the block's fields that aren't `known` or null, and collect their names."""
    more = {key: value for key, value in block.items() if key not in known and value is not None}
    for key in more:
        if key in _CHAT_FIELDS:
            raise wrong(f"{path}.{key}", "unknown field. Remove it.")
    vendor_fields.update(more)
    return more


def string(block: Block, field: str, path: str) -> str:
    """Return a required string field; raises `ApiError` (400)."""
    value = block.get(field)
    if value is None:
        raise missing(f"{path}.{field}")
    if not isinstance(value, str):
        raise wrong(f"{path}.{field}", "must be a string.")
    return value


def missing(path: str) -> ApiError:
    """Return a 400 for a required field that is missing."""
    return invalid(f"{path}: field required.", param=path, code="missing_required_parameter")


def wrong(path: str, words: str, code: str = "invalid_value") -> ApiError:
    """Return a 400 for an invalid value of the field at `path`."""
    return invalid(f"{path}: {words}", param=path, code=code)


def _text(block: Block, path: str) -> Part:
    return {"type": "text", "text": string(block, "text", path)}


def _image(block: Block, path: str) -> Part:
    path = f"{path}.source"
    source = block.get("source")
    if source is None:
        raise missing(path)
    if not isinstance(source, dict):
        raise wrong(path, "must be an object with a type.")
    match source.get("type"):
        case "base64":
            url = _data_url(source, path)
        case "url":
            url = _http_url(string(source, "url", path), f"{path}.url")
        case _:
            raise wrong(f"{path}.type", "must be base64 or url; files are not supported.", _IMAGE)
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
        raise wrong(f"{path}.media_type", "must be an image type such as image/png.", _IMAGE)
    if not is_base64(data):
        raise wrong(f"{path}.data", "must be base64 with padding.", _IMAGE)
    return f"data:{media};base64,{data}"


_READERS: dict[str, tuple[Callable[[Block, str], Part], str]] = {
    "text": (_text, "text"),
    "image": (_image, "source"),
}
"""The reader of each block type, and the field that it reads."""
