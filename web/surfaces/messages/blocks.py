"""Reads the content blocks of a Messages request that become parts of a message.

Source: Anthropic's API reference, "Create a message".
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Self

from actors.providers.formats.media import kind_of, words_for
from actors.turn import messages
from actors.turn.chat_messages import THINKING_API
from actors.turn.messages import JSON, Content, Extras, Part, TextPart, texts_of
from web.http.api_error import ApiError
from web.surfaces.content_parts import MAX_PARTS, Media, joined
from web.surfaces.media_parts import URL_CODE, data_or_http_url, http_url, is_base64
from web.surfaces.validation import LONGEST_NAME, Fields, wrong

_MEDIA = re.compile(r"image/[a-z0-9.+-]{1,100}", re.IGNORECASE)
_CHAT_FIELDS = frozenset(
    {
        *("arguments", "content", "detail", "function", "id", "image_url", "name"),
        *("reasoning_content", "refusal", "role", "text", "tool_call_id", "tool_calls"),
        *("type", "url"),
    }
)
"""Field names with a meaning in a chat; on a block they would be misread."""
PARTS = (
    *("text", "image", "document", "search_result", "tool_reference", "container_upload"),
    "browser_state",
)


class Block(Fields):
    """An object that may have fields which only Anthropic's API has.

    They become `extras`. Their names are collected in `vendor_fields`, so that routes with another
    API can remove them by name.
    """

    __slots__ = ("media", "vendor_fields")

    def __init__(
        self, given: JSON, path: str, vendor_fields: set[str], media: Media | None = None
    ) -> None:
        super().__init__(given, path)
        self.vendor_fields = vendor_fields
        self.media: Media = {} if media is None else media
        """Kinds of media by their paths."""

    def child(self, given: JSON, path: str) -> Self:
        """Return an object in this one, which adds to the same names."""
        return type(self)(given, path, self.vendor_fields, self.media)

    def extras(self, *known: str) -> Extras:
        """Return the fields that aren't `known` or null; raises `ApiError` (400)."""
        extras = {name: value for name, value in self.rest(*known).items() if value is not None}
        for name in extras:
            if name in _CHAT_FIELDS:
                raise self.wrong(name, "unknown field. Remove it.")
        self.vendor_fields.update(extras)
        return extras

    def blocks(self, name: str) -> Iterator[Self]:
        """Yield the blocks of a list; a string is one text block. Raises `ApiError` (400)."""
        given, path = self.required(name), self.at(name)
        if isinstance(given, str):
            given = [{"type": "text", "text": given}]
        if not isinstance(given, list):
            raise wrong(path, "must be a string or a list of content blocks.")
        if len(given) > MAX_PARTS:
            raise wrong(path, f"may have at most {MAX_PARTS} content blocks.")
        for index, block in enumerate(given):
            yield self.child(block, f"{path}[{index}]")

    def content(self, name: str, types: Sequence[str] = PARTS) -> Content:
        """Return content of parts of these types; raises `ApiError` (400)."""
        return joined([part_of(block, types) for block in self.blocks(name)]) or ""


def part_of(block: Block, types: Sequence[str] = PARTS) -> Part:
    """Return the part of a block; raises `ApiError` (400)."""
    kind = block.values.get("type")
    if not isinstance(kind, str) or kind not in types:
        raise unknown_type(block, types)
    if kind == "text":
        return _text(block)
    part = _READERS[kind](block)
    if (medium := kind_of(part)) is not None:
        block.media[block.path] = medium
    return part


def _text(block: Block) -> Part:
    """Read a text, without the citations by other APIs, which have an empty `encrypted_index`."""
    text, citations = block.text("text"), block.values.get("citations")
    if isinstance(citations, list):
        own = [one for one in citations if not _is_foreign(one)]
        block = block.child({**block.values, "citations": own or None}, block.path)
    return TextPart(text, block.extras("type", "text"))


def _is_foreign(citation: JSON) -> bool:
    return isinstance(citation, dict) and citation.get("encrypted_index") == ""


def _image(block: Block) -> Part:
    source, extras = block.object("source"), block.extras("type", "source")
    if source.values.get("type") == "file":
        return messages.ImagePart("", extras=extras, file_id=_file_id(source))
    return messages.ImagePart(_image_url(source), extras=extras)


def _document(block: Block) -> Part:
    """Read a document; other APIs get the text of one that is text."""
    source, title = block.object("source"), block.optional("title", str, "a string")
    extras = block.extras("type", "source", "title")
    match source.values.get("type"):
        case "base64":
            url = f"data:{source.text('media_type')};base64,{source.text('data')}"
            data_or_http_url(Fields({"data": url}, source.path), "data", "")
            return messages.FilePart(url, filename=title, extras=extras)
        case "url":
            url = http_url(source.text("url"), source.at("url"))
            return messages.FilePart(url, filename=title, extras=extras)
        case "file":
            return messages.FilePart(file_id=_file_id(source), filename=title, extras=extras)
        case "text":
            text = source.text("data")
        case "content":
            parts = messages.parts_of(source.content("content", ("text", "image")))
            texts = (one.text if isinstance(one, TextPart) else words_for(one) for one in parts)
            text = "\n\n".join(texts)
        case _:
            raise source.wrong("type", "must be one of base64, content, file, text, url.")
    return _native(block, title, text)


def _search_result(block: Block) -> Part:
    texts = texts_of(block.content("content", ("text",)))
    return _native(block, block.text("title"), block.text("source"), *texts)


def _native(block: Block, *texts: str | None) -> Part:
    """Return a block that only this API has, with its text for others."""
    text = "\n\n".join([one for one in texts if one])
    return messages.NativePart(THINKING_API, block.values, text)


def _file_id(source: Fields) -> messages.FileId:
    return messages.FileId(THINKING_API, source.text("file_id", longest=LONGEST_NAME))


_READERS: dict[str, Callable[[Block], Part]] = {
    "image": _image,
    "document": _document,
    "search_result": _search_result,
    "tool_reference": lambda block: _native(block, block.text("tool_name")),
    "container_upload": _native,
    "browser_state": _native,
    "tool_addition": _native,
    "tool_removal": _native,
}


def unknown_type(block: Block, types: Sequence[str]) -> ApiError:
    """Return a 400 for a content block whose type is not among `types`."""
    words = f"must be one of {', '.join(types)}."
    return wrong(block.at("type"), words, "unsupported_content_type")


def _image_url(source: Fields) -> str:
    match source.values.get("type"):
        case "base64":
            return _data_url(source)
        case "url":
            return http_url(source.text("url"), source.at("url"))
        case _:
            words = "must be one of base64, file, url."
            raise wrong(source.at("type"), words, URL_CODE)


def _data_url(source: Fields) -> str:
    media, data = source.text("media_type"), source.text("data")
    if not _MEDIA.fullmatch(media):
        words = "must be an image type such as image/png."
        raise wrong(source.at("media_type"), words, URL_CODE)
    if not is_base64(data):
        raise wrong(source.at("data"), "must be base64 with padding.", URL_CODE)
    return f"data:{media};base64,{data}"
