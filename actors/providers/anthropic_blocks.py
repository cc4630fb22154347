"""Content parts of a chat's messages as content blocks of Anthropic's Messages API."""

from collections.abc import Iterator

from actors.providers.base import JSON
from actors.providers.neutral import data_url

Block = dict[str, JSON]

_MEDIA = {
    "image/jpeg": "image/jpeg",
    "image/jpg": "image/jpeg",
    "image/png": "image/png",
    "image/gif": "image/gif",
    "image/webp": "image/webp",
}


def content_blocks(
    content: JSON, types: frozenset[str], path: str, left_out: list[str]
) -> Iterator[Block]:
    """A content's blocks; paths of parts that are of no type of `types` go to `left_out`."""
    if isinstance(content, str):
        yield from text_block(content)
    elif isinstance(content, list):
        for index, part in enumerate(content):
            at = f"{path}[{index}]"
            if isinstance(part, dict) and part.get("type") in types:
                yield from _part(part, at, left_out)
            else:
                left_out.append(at)
    elif content is not None:
        left_out.append(path)


def _part(part: dict[str, JSON], path: str, left_out: list[str]) -> Iterator[Block]:
    kind = str(part["type"])
    note_rest(part, frozenset({"type", kind, "cache_control"}), path, left_out)
    blocks = list(_block(kind, part.get(kind), path, left_out))
    yield from marked(blocks, part)


def _block(kind: str, value: JSON, path: str, left_out: list[str]) -> Iterator[Block]:
    if kind == "image_url":
        yield from _image(value, path, left_out)
    elif isinstance(value, str):
        yield from text_block(value)
    else:
        left_out.append(path)


def text_block(text: str) -> Iterator[Block]:
    """A block of text; the API refuses a blank one, which says nothing either."""
    if text and not text.isspace():
        yield {"type": "text", "text": text}


def _image(value: JSON, path: str, left_out: list[str]) -> Iterator[Block]:
    image = value if isinstance(value, dict) else {"url": value}
    source = _source(image.get("url"))
    if source is None:
        left_out.append(path)
        return
    if image.get("detail") not in (None, "auto"):
        left_out.append(f"{path}.image_url.detail")
    yield {"type": "image", "source": source}


def _source(url: JSON) -> Block | None:
    if not isinstance(url, str):
        return None
    if url[:8].lower().startswith(("http://", "https://")):
        return {"type": "url", "url": url}
    media, data = data_url(url) or ("", "")
    if media not in _MEDIA:
        return None
    return {"type": "base64", "media_type": _MEDIA[media], "data": data}


def marked(blocks: list[Block], whole: dict[str, JSON]) -> list[Block]:
    """The blocks of a part or a message, whose `cache_control` marks the last of them."""
    if blocks and whole.get("cache_control"):
        blocks[-1].setdefault("cache_control", whole["cache_control"])
    return blocks


def note_rest(
    value: dict[str, JSON], known: frozenset[str], path: str, left_out: list[str]
) -> None:
    """Note the fields of `value` that say something and are not known."""
    left_out += [f"{path}.{key}" for key in value if key not in known and value[key]]
