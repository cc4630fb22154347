"""Converts content parts of Chat messages to content blocks of Anthropic's Messages API."""

from collections.abc import Iterator

from actors.providers.formats.chat_call import data_url
from actors.turn.model_call import JSON

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
    """Yield the blocks of a message's content.

    Paths of parts whose type isn't in `types` are added to `left_out`.
    """
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
    note_unknown_fields(part, frozenset({"type", kind, "cache_control"}), path, left_out)
    blocks = list(_block(kind, part.get(kind), path, left_out))
    yield from with_cache_control(blocks, part)


def _block(kind: str, value: JSON, path: str, left_out: list[str]) -> Iterator[Block]:
    if kind == "image_url":
        yield from _image(value, path, left_out)
    elif isinstance(value, str):
        yield from text_block(value)
    else:
        left_out.append(path)


def text_block(text: str) -> Iterator[Block]:
    """Yield a text block unless the text is blank: the API refuses blank text blocks."""
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


def with_cache_control(blocks: list[Block], whole: dict[str, JSON]) -> list[Block]:
    """Return the blocks of a part or message, with its `cache_control` on the last block."""
    if blocks and whole.get("cache_control"):
        blocks[-1].setdefault("cache_control", whole["cache_control"])
    return blocks


def note_unknown_fields(
    value: dict[str, JSON], known: frozenset[str], path: str, left_out: list[str]
) -> None:
    """Add the paths of non-empty fields of `value` that aren't in `known` to `left_out`."""
    left_out += [f"{path}.{key}" for key in value if key not in known and value[key]]
