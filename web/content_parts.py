"""Content parts of chat messages, in the spellings of the field, become those of OpenAI's Chat.

Source: OpenAI's API reference, "Create chat completion" and, for `input_text`, `input_image` and
`output_text`, "Create a response". Written by hand and not with pydantic: parts are many, and what
is wrong with one is told with its path in the message as it was sent, lists in lists included.
"""

import re
from collections.abc import Callable, Sequence

from actors.providers.base import JSON
from web.errors import ApiError, invalid

Part = dict[str, JSON]

MAX_PARTS = 1_000
"""Of one message. Looking at more would hold up the streams of others."""
MAX_DEPTH = 10
"""Of lists of parts in lists of parts."""
MAX_URL = 8_192
"""Characters of an http(s) URL; `data:` URLs are bounded by the body."""

_PART = "invalid_content_part"
_URL = "invalid_image_url"
_WHOLE = 65_536
"""Characters of base64 that are all looked at; of more only a sample is, so that nobody waits."""
_SAMPLE = 4_096
_HTTP = re.compile(r"https?://[^\s/?#][^\s]{0,8192}", re.IGNORECASE)
_DATA = re.compile(
    r"data:image/[a-z0-9.+-]{1,100}(?:;[a-z0-9.+=-]{1,100}){0,5};base64,", re.IGNORECASE
)
_BASE64 = re.compile(r"[A-Za-z0-9+/]{1,65536}+")
_DETAILS = ("auto", "low", "high")


class _Wrong(Exception):
    """Something in a part, told by the path in it: paths in messages are put together if needed."""

    def __init__(self, within: str, words: str, code: str) -> None:
        super().__init__(words)
        self.within = within
        self.words = words
        self.code = code


def flat_parts(content: Sequence[JSON], path: str) -> list[JSON]:
    """The parts of a message's content, which stands at `path`; raises `ApiError` (400).

    Lists within are taken apart. Parts that are in OpenAI's Chat shape already come out as the
    very objects that they were.
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
            except _Wrong as wrong:
                where = f"{path}[{index}]{wrong.within}"
                raise _at(where, wrong.words, wrong.code) from None
        if len(parts) > MAX_PARTS:
            raise _at(path, f"there may be at most {MAX_PARTS} content parts in a message.", _PART)


def _part(item: JSON) -> Part:
    if isinstance(item, str):
        return {"type": "text", "text": item}
    if not isinstance(item, dict):
        raise _Wrong("", "a content part must be an object that has a type.", _PART)
    kind = item.get("type")
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is None:
        words = f"content parts may be of type {', '.join(_READERS)}."
        raise _Wrong(".type", words, "unsupported_content_type")
    return read(item)


def _text(part: Part) -> Part:
    return _with_string(part, "text")


def _input_text(part: Part) -> Part:
    return {**_with_string(part, "text"), "type": "text"}


def _output_text(part: Part) -> Part:
    # Its annotations and logprobs are an answer's, and no request has a place for them.
    return {"type": "text", "text": _with_string(part, "text")["text"]}


def _refusal(part: Part) -> Part:
    return _with_string(part, "refusal")


def _image_url(part: Part) -> Part:
    """`{"image_url": {"url", "detail"}}`, or the URL as it is, beside which a detail may stand."""
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
        raise _Wrong(".file_id", "there are no files here; send an image_url.", _PART)
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
        raise _Wrong(within, "field required.", "missing_required_parameter")
    if not isinstance(value, str):
        raise _Wrong(within, "must be a string.", _PART)
    return value


def _check_detail(detail: JSON, within: str) -> None:
    if detail is not None and detail not in _DETAILS:
        raise _Wrong(within, f"must be one of {', '.join(_DETAILS)}.", _PART)


def _check_url(given: JSON, within: str) -> None:
    url = _string(given, within)
    if url[:5].lower() == "data:":
        _check_data(url, within)
    elif len(url) > MAX_URL:
        raise _Wrong(within, f"an http(s) URL may have at most {MAX_URL} characters.", _URL)
    elif not is_http_url(url):
        raise _Wrong(within, "must be an http(s) URL or a data:image/…;base64,… URL.", _URL)


def _check_data(url: str, within: str) -> None:
    head = _DATA.match(url)
    if head is None:
        raise _Wrong(within, "a data: URL must begin with data:image/…;base64,", _URL)
    if not is_base64(url, head.end()):
        raise _Wrong(within, "what follows base64, must be base64, its padding included.", _URL)


def is_http_url(url: str) -> bool:
    """Whether it is an http(s) URL of at most about `MAX_URL` characters."""
    return _HTTP.fullmatch(url) is not None


def is_base64(text: str, start: int = 0) -> bool:
    """Whether `text` from `start` on is base64 (RFC 4648 §4), as far as a bounded look tells.

    Length and padding are exact. Of more than 64 Ki characters the beginning, the end and a
    sample in between are looked at: a provider that decodes it will find the rest.
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


def _at(path: str, words: str, code: str) -> ApiError:
    return invalid(f"{path}: {words}", param=path, code=code)
