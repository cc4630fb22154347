"""Reads content parts and plain messages for all model APIs.

Source: OpenAI's API reference, "Create chat completion" and, for `input_text`, `input_image` and
`output_text`, "Create a response".
"""

import re
from collections.abc import Callable, Sequence

from actors.turn import messages
from actors.turn.chat_messages import read_part
from actors.turn.messages import JSON, Content, Message, Part, TextPart
from web.surfaces.validation import Fields, wrong

MAX_PARTS = 1_000
"""Maximum number of parts of a message. Checking more would delay other streams."""
MAX_DEPTH = 10
"""Maximum nesting depth of lists of parts."""
MAX_URL = 8_192
"""Maximum length of an http(s) URL in characters; `data:` URLs are bounded by the body."""

_PART = "invalid_content_part"
URL_CODE = "invalid_image_url"
_WHOLE = 65_536
"""Characters of base64 that are checked completely; longer data is sampled to bound the time."""
_SAMPLE = 4_096
"""Characters checked at the beginning, at the end and in between of longer data."""
_HTTP = re.compile(r"https?://[^\s/?#][^\s]{0,8192}", re.IGNORECASE)
_DATA = re.compile(
    r"data:image/[a-z0-9.+-]{1,100}(?:;[a-z0-9.+=-]{1,100}){0,5};base64,", re.IGNORECASE
)
_BASE64 = re.compile(r"[A-Za-z0-9+/]{1,65536}+")
_DETAILS = ("auto", "low", "high", "original")
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


def flat_parts(content: JSON, path: str) -> list[Part]:
    """Return the content parts at `path` as a flat list. Raises `ApiError` (400).

    Nested lists are flattened, and errors have the path of the part in them.
    """
    if not isinstance(content, list):
        raise wrong(path, "must be a string or a list of content parts.", _PART)
    parts: list[Part] = []
    _flatten(content, path, 0, parts)
    return parts


def _flatten(items: Sequence[JSON], path: str, depth: int, parts: list[Part]) -> None:
    if depth > MAX_DEPTH:
        raise wrong(path, f"lists of content parts may be nested at most {MAX_DEPTH} deep.", _PART)
    for index, item in enumerate(items):
        at = f"{path}[{index}]"
        if type(item) is list:
            _flatten(item, at, depth + 1, parts)
        else:
            parts.append(_part(item, at))
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


def _image(part: Fields) -> Part:
    """Read an image part.

    Accepts `{"image_url": {"url", "detail"}}` and the flat `{"image_url": url, "detail"}`.
    """
    if isinstance(part.values.get("image_url"), dict):
        image = part.object("image_url")
        _url(image, "url")
        image.one_of("detail", _DETAILS)
        return read_part({**part.values, "type": "image_url"})
    rest = part.rest("type", "image_url", "detail")
    return messages.ImagePart(_url(part, "image_url"), part.one_of("detail", _DETAILS), rest)


def _input_image(part: Fields) -> Part:
    if part.values.get("file_id") is not None:
        raise part.wrong("file_id", "files are not supported; send an image_url.")
    return _image(part)


_READERS: dict[str, Callable[[Fields], Part]] = {
    "text": _text,
    "input_text": _text,
    "output_text": _output_text,
    "image_url": _image,
    "input_image": _input_image,
    "refusal": _refusal,
}


def _url(image: Fields, name: str) -> str:
    url = image.text(name)
    if url[:5].lower() != "data:":
        return http_url(url, image.at(name))
    head = _DATA.match(url)
    if head is None:
        raise wrong(image.at(name), "a data: URL must begin with data:image/…;base64,", URL_CODE)
    if not is_base64(url, head.end()):
        text = "the data after base64, must be base64 with padding."
        raise wrong(image.at(name), text, URL_CODE)
    return url


def http_url(url: str, path: str) -> str:
    """Return `url`, the one at `path`, if it is an http(s) URL; raises `ApiError` (400)."""
    if len(url) > MAX_URL:
        text = f"an http(s) URL may have at most {MAX_URL} characters."
        raise wrong(path, text, URL_CODE)
    if not _HTTP.fullmatch(url):
        raise wrong(path, "must be an http(s) URL or a data:image/…;base64,… URL.", URL_CODE)
    return url


def is_base64(text: str, start: int = 0) -> bool:
    """Return True if `text` from `start` on looks like base64 (RFC 4648 §4), in bounded time.

    Length and padding are checked exactly. Beyond 64 Ki characters only the beginning, the end
    and a sample in between are checked; a provider that decodes the data finds other errors.
    """
    size = len(text) - start
    if size < 4 or size % 4:
        return False
    end = len(text) - (2 if text.endswith("==") else text.endswith("="))
    if size <= _WHOLE:
        return _BASE64.fullmatch(text, start, end) is not None
    middle = text[start : end : size // _SAMPLE]
    sample = text[start : start + _SAMPLE] + middle + text[end - _SAMPLE : end]
    return _BASE64.fullmatch(sample) is not None
