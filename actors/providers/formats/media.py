"""Media of a call: the kinds that APIs differ in, and texts in their place. Pure.

A kind is written like `pdf`, `pdf/url` or `file/anthropic`: content, then its source if that isn't
the request itself. A file with text has no kind, since every API can have the text instead.
"""

import re
from base64 import b64decode
from collections.abc import Iterable, Set
from mimetypes import guess_extension, guess_type
from os.path import splitext

from msgspec.structs import replace

from actors.turn import messages as chat

_DATA = re.compile(r"data:([^;,]*)[^,]{0,1000},", re.IGNORECASE)
_TEXT = re.compile(r"text/|application/(?:json|xml|yaml|x-yaml|javascript|toml|sql)$")
COMMON_IMAGES = {
    "image/jpeg": "image/jpeg",
    "image/jpg": "image/jpeg",
    "image/png": "image/png",
    "image/gif": "image/gif",
    "image/webp": "image/webp",
}
"""Media types of images that all APIs have, and how they are written. Others are `image/other`."""
_CAPABILITIES = {"image": "images", "pdf": "files", "file": "files"}
"""Capability by content, where they differ."""
_NAMES = {"image": "an image", "pdf": "a PDF file", "audio": "an audio recording"}


def kind_of(part: chat.Part) -> str | None:
    """Return the kind of a part, or None if it is no medium or a file with text."""
    match part:
        case chat.ImagePart(file_id=chat.FileId(api=api)):
            return f"image/{api}"
        case chat.ImagePart(url=url):
            return _kind_of_image(url)
        case chat.AudioPart():
            return "audio"
        case chat.VideoPart():
            return "video"
        case chat.FilePart(file_id=chat.FileId(api=api)):
            return f"file/{api}"
        case chat.FilePart(url=str(url)):
            return _kind_of_file(url)
        case _:
            return None


def capability_of(kind: str) -> str:
    """Return the capability that a kind needs: `images`, `files`, `audio` or `video`."""
    content = kind.partition("/")[0]
    return _CAPABILITIES.get(content, content)


def media_type_of(url: str) -> str | None:
    """Return the media type of a `data:` URL, or None for other URLs."""
    head = _DATA.match(url)
    return None if head is None else head[1].strip().lower()


def text_of(part: chat.FilePart) -> str | None:
    """Return the text of a file that is sent as data, with its name, or None if it has none."""
    data = part.url or ""
    if _TEXT.match(media_type_of(data) or "") is None:
        return None
    try:
        text = b64decode(data.partition(",")[2]).decode("utf-8", "replace")
    except ValueError:
        return None
    return f"{part.filename}:\n\n{text}" if part.filename else text


def filename_of(part: chat.FilePart) -> str:
    """Return the name of a file that is sent as data, with the extension by which OpenAI reads it.

    Anthropic's documents have titles, or no name at all.
    """
    name = part.filename or "document"
    extension = guess_extension(media_type_of(part.url or "") or "") or ""
    return name if splitext(name)[1] else name + extension


def words_for(part: chat.Part) -> str:
    """Return the text in place of a medium."""
    kind = (kind_of(part) or "").partition("/")[0]
    name = part.filename if isinstance(part, chat.FilePart) else None
    shown = _NAMES.get(kind, f"a {kind}")
    return f"[Here was {shown}{f' {name!r}' if name else ''}, which this model cannot read.]"


def without_media(messages: Iterable[chat.Message], kinds: Set[str]) -> tuple[chat.Message, ...]:
    """Return the messages with a text in place of each medium of these kinds."""
    return tuple(_without_media(message, kinds) for message in messages)


def _without_media(message: chat.Message, kinds: Set[str]) -> chat.Message:
    content = message.content
    if not isinstance(content, tuple) or kinds.isdisjoint(map(kind_of, content)):
        return message
    parts = tuple(
        chat.TextPart(words_for(part)) if kind_of(part) in kinds else part for part in content
    )
    return replace(message, content=parts)


def _kind_of_image(url: str) -> str:
    media_type = media_type_of(url)
    if media_type is None:
        return "image/url"
    return "image" if media_type in COMMON_IMAGES else "image/other"


def _kind_of_file(url: str) -> str | None:
    media_type = media_type_of(url)
    if media_type is None:
        guessed, _ = guess_type(url.partition("?")[0])
        return "pdf/url" if guessed in (None, "application/pdf") else "file/url"
    if _TEXT.match(media_type):
        return None
    return "pdf" if media_type == "application/pdf" else "file"
