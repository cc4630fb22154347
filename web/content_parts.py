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

_WHOLE = 65_536
"""Characters of base64 that are all looked at; of more only a sample is, so that nobody waits."""
_SAMPLE = 4_096
_HTTP = re.compile(r"https?://[^\s/?#][^\s]{0,8192}", re.IGNORECASE)
_DATA = re.compile(
    r"data:image/[a-z0-9.+-]{1,100}(?:;[a-z0-9.+=-]{1,100}){0,5};base64,", re.IGNORECASE
)
_BASE64 = re.compile(r"[A-Za-z0-9+/]{1,65536}+")
_DETAILS = ("auto", "low", "high")


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
        raise _bad(path, f"lists of content parts may be nested at most {MAX_DEPTH} deep.")
    for index, item in enumerate(items):
        if type(item) is list:
            _flatten(item, f"{path}[{index}]", depth + 1, parts)
        else:
            parts.append(_part(item, path, index))
        if len(parts) > MAX_PARTS:
            raise _bad(path, f"there may be at most {MAX_PARTS} content parts in a message.")


def _part(item: JSON, path: str, index: int) -> Part:
    if isinstance(item, str):
        return {"type": "text", "text": item}
    if not isinstance(item, dict):
        raise _bad(f"{path}[{index}]", "a content part must be an object that has a type.")
    kind = item.get("type")
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is None:
        where = f"{path}[{index}].type"
        text = f"content parts may be of type {', '.join(_READERS)}."
        raise invalid(f"{where}: {text}", param=where, code="unsupported_content_type")
    return read(item, path, index)


def _text(part: Part, path: str, index: int) -> Part:
    return _with_string(part, "text", path, index)


def _input_text(part: Part, path: str, index: int) -> Part:
    return {**_with_string(part, "text", path, index), "type": "text"}


def _output_text(part: Part, path: str, index: int) -> Part:
    # Its annotations and logprobs are an answer's, and no request has a place for them.
    return {"type": "text", "text": _with_string(part, "text", path, index)["text"]}


def _refusal(part: Part, path: str, index: int) -> Part:
    return _with_string(part, "refusal", path, index)


def _image_url(part: Part, path: str, index: int) -> Part:
    """`{"image_url": {"url", "detail"}}`, or the URL as it is, beside which a detail may stand."""
    image = _given(part, "image_url", path, index)
    where = f"{path}[{index}].image_url"
    if isinstance(image, dict):
        url = image.get("url")
        if url is None:
            raise _missing(f"{where}.url")
        _check_url(url, f"{where}.url")
        _check_detail(image.get("detail"), f"{where}.detail")
        return part if part["type"] == "image_url" else {**part, "type": "image_url"}
    if not isinstance(image, str):
        raise _bad(where, "must be a URL, or an object that has a url.")
    _check_url(image, where)
    detail = part.get("detail")
    _check_detail(detail, f"{path}[{index}].detail")
    rest = {key: value for key, value in part.items() if key not in ("image_url", "detail")}
    plain: Part = {"url": image} if detail is None else {"url": image, "detail": detail}
    return {**rest, "type": "image_url", "image_url": plain}


def _input_image(part: Part, path: str, index: int) -> Part:
    if part.get("file_id") is not None:
        raise _bad(f"{path}[{index}].file_id", "there are no files here; send an image_url.")
    return _image_url(part, path, index)


_READERS: dict[str, Callable[[Part, str, int], Part]] = {
    "text": _text,
    "input_text": _input_text,
    "output_text": _output_text,
    "image_url": _image_url,
    "input_image": _input_image,
    "refusal": _refusal,
}


def _with_string(part: Part, field: str, path: str, index: int) -> Part:
    if not isinstance(_given(part, field, path, index), str):
        raise _bad(f"{path}[{index}].{field}", "must be a string.")
    return part


def _given(part: Part, field: str, path: str, index: int) -> JSON:
    value = part.get(field)
    if value is None:
        raise _missing(f"{path}[{index}].{field}")
    return value


def _check_detail(detail: JSON, path: str) -> None:
    if detail is not None and detail not in _DETAILS:
        raise _bad(path, f"must be one of {', '.join(_DETAILS)}.")


def _check_url(url: JSON, path: str) -> None:
    if not isinstance(url, str):
        raise _bad(path, "must be a string.")
    if url[:5].lower() == "data:":
        _check_data(url, path)
    elif len(url) > MAX_URL:
        raise _bad_url(path, f"an http(s) URL may have at most {MAX_URL} characters.")
    elif not _HTTP.fullmatch(url):
        raise _bad_url(path, "must be an http(s) URL or a data:image/…;base64,… URL.")


def _check_data(url: str, path: str) -> None:
    head = _DATA.match(url)
    if head is None:
        raise _bad_url(path, "a data: URL must begin with data:image/…;base64,")
    if not is_base64(url, head.end()):
        raise _bad_url(path, "what follows base64, must be base64, its padding included.")


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


def _bad(path: str, words: str) -> ApiError:
    return invalid(f"{path}: {words}", param=path, code="invalid_content_part")


def _bad_url(path: str, words: str) -> ApiError:
    return invalid(f"{path}: {words}", param=path, code="invalid_image_url")


def _missing(path: str) -> ApiError:
    return invalid(f"{path}: field required.", param=path, code="missing_required_parameter")
