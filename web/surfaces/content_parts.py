"""Normalises content parts of chat messages to those of OpenAI's Chat Completions API.

Source: OpenAI's API reference, "Create chat completion" and, for `input_text`, `input_image` and
`output_text`, "Create a response". Validation is hand-written instead of using pydantic, because
messages can have many parts, and because errors need the path in the message as it was sent,
including nested lists.
"""

import re
from collections.abc import Callable, Sequence

from actors.turn.model_call import JSON
from web.http.api_error import ApiError, invalid

Part = dict[str, JSON]

MAX_PARTS = 1_000
"""Maximum number of parts of a message. Checking more would delay other streams."""
MAX_DEPTH = 10
"""Maximum nesting depth of lists of parts."""
MAX_URL = 8_192
"""Maximum length of an http(s) URL in characters; `data:` URLs are bounded by the body."""

_PART = "invalid_content_part"
_URL = "invalid_image_url"
_WHOLE = 65_536
"""Characters of base64 that are checked completely; longer data is sampled to bound the time."""
_SAMPLE = 4_096
"""Characters checked at the beginning, at the end and in between of longer data."""
_HTTP = re.compile(r"https?://[^\s/?#][^\s]{0,8192}", re.IGNORECASE)
_DATA = re.compile(
    r"data:image/[a-z0-9.+-]{1,100}(?:;[a-z0-9.+=-]{1,100}){0,5};base64,", re.IGNORECASE
)
_BASE64 = re.compile(r"[A-Za-z0-9+/]{1,65536}+")
_DETAILS = ("auto", "low", "high")


class _InvalidPart(Exception):
    """An error at a path within a part; the path of the part is added only when it is reported."""

    def __init__(self, within: str, message: str, code: str) -> None:
        super().__init__(message)
        self.within = within
        self.message = message
        self.code = code


def flat_parts(content: Sequence[JSON], path: str) -> list[JSON]:
    """Return the content parts at `path` as a flat list. Raises `ApiError` (400).

    Nested lists are flattened. Parts that already have OpenAI's Chat format are returned as the
    same objects.
    """
    parts: list[JSON] = []
    _flatten(content, path, 0, parts)
    return parts


def _flatten(items: Sequence[JSON], path: str, depth: int, parts: list[JSON]) -> None:
    if depth > MAX_DEPTH:
        raise _at(path, f"lists of content parts may be nested at most {MAX_DEPTH} deep.", _PART)
    for index, item in enumerate(items):
        if type(item) is list:
            _flatten(item, f"{path}[{index}]", depth + 1, parts)
        else:
            try:
                parts.append(_part(item))
            except _InvalidPart as error:
                raise _at(f"{path}[{index}]{error.within}", error.message, error.code) from None
        if len(parts) > MAX_PARTS:
            raise _at(path, f"there may be at most {MAX_PARTS} content parts in a message.", _PART)


def _part(item: JSON) -> Part:
    if isinstance(item, str):
        return {"type": "text", "text": item}
    if not isinstance(item, dict):
        raise _InvalidPart("", "a content part must be an object with a type.", _PART)
    kind = item.get("type")
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is None:
        message = f"content parts may be of type {', '.join(_READERS)}."
        raise _InvalidPart(".type", message, "unsupported_content_type")
    return read(item)


def _text(part: Part) -> Part:
    return _with_string(part, "text")


def _input_text(part: Part) -> Part:
    return {**_with_string(part, "text"), "type": "text"}


def _output_text(part: Part) -> Part:
    # Annotations and logprobs belong to answers; requests to providers have no field for them.
    return {"type": "text", "text": _with_string(part, "text")["text"]}


def _refusal(part: Part) -> Part:
    return _with_string(part, "refusal")


def _image_url(part: Part) -> Part:
    """Normalise an image part.

    Accepts `{"image_url": {"url", "detail"}}` and the flat `{"image_url": url, "detail"}`.
    """
    image = part.get("image_url")
    if isinstance(image, dict):
        _check_url(image.get("url"), ".image_url.url")
        _check_detail(image.get("detail"), ".image_url.detail")
        return part if part["type"] == "image_url" else {**part, "type": "image_url"}
    _check_url(image, ".image_url")
    detail = part.get("detail")
    _check_detail(detail, ".detail")
    rest = {key: value for key, value in part.items() if key not in ("image_url", "detail")}
    plain: Part = {"url": image} if detail is None else {"url": image, "detail": detail}
    return {**rest, "type": "image_url", "image_url": plain}


def _input_image(part: Part) -> Part:
    if part.get("file_id") is not None:
        raise _InvalidPart(".file_id", "files are not supported; send an image_url.", _PART)
    return _image_url(part)


_READERS: dict[str, Callable[[Part], Part]] = {
    "text": _text,
    "input_text": _input_text,
    "output_text": _output_text,
    "image_url": _image_url,
    "input_image": _input_image,
    "refusal": _refusal,
}


def _with_string(part: Part, field: str) -> Part:
    _string(part.get(field), f".{field}")
    return part


def _string(value: JSON, within: str) -> str:
    if value is None:
        raise _InvalidPart(within, "field required.", "missing_required_parameter")
    if not isinstance(value, str):
        raise _InvalidPart(within, "must be a string.", _PART)
    return value


def _check_detail(detail: JSON, within: str) -> None:
    if detail is not None and detail not in _DETAILS:
        raise _InvalidPart(within, f"must be one of {', '.join(_DETAILS)}.", _PART)


def _check_url(given: JSON, within: str) -> None:
    url = _string(given, within)
    if url[:5].lower() == "data:":
        _check_data(url, within)
    elif len(url) > MAX_URL:
        raise _InvalidPart(within, f"an http(s) URL may have at most {MAX_URL} characters.", _URL)
    elif not is_http_url(url):
        raise _InvalidPart(within, "must be an http(s) URL or a data:image/…;base64,… URL.", _URL)


def _check_data(url: str, within: str) -> None:
    head = _DATA.match(url)
    if head is None:
        raise _InvalidPart(within, "a data: URL must begin with data:image/…;base64,", _URL)
    if not is_base64(url, head.end()):
        raise _InvalidPart(within, "the data after base64, must be base64 with padding.", _URL)


def is_http_url(url: str) -> bool:
    """Return True for an http(s) URL of at most about `MAX_URL` characters."""
    return _HTTP.fullmatch(url) is not None


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


def _at(path: str, message: str, code: str) -> ApiError:
    return invalid(f"{path}: {message}", param=path, code=code)
