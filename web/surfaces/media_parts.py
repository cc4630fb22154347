"""Reads parts with images, files, audio and videos in the forms of OpenAI's APIs, and their URLs.

Source: OpenAI's API reference, "Create chat completion" and "Create a response"; `video_url` is not
OpenAI's.
"""

import re
from collections.abc import Callable
from mimetypes import guess_type

from actors.providers.formats.media import media_type_of
from actors.turn import messages
from actors.turn.chat_messages import read_part
from actors.turn.messages import Extras, Part
from web.surfaces.validation import LONGEST_NAME, Fields, wrong

MAX_URL = 8_192
"""Maximum length of an http(s) URL in characters; `data:` URLs are bounded by the body."""
URL_CODE = "invalid_image_url"
_WHOLE = 65_536
"""Characters of base64 that are checked completely; longer data is sampled to bound the time."""
_SAMPLE = 4_096
"""Characters checked at the beginning, at the end and in between of longer data."""
_HTTP = re.compile(r"https?://[^\s/?#][^\s]{0,8192}", re.IGNORECASE)
_DATA = re.compile(
    r"data:image/[a-z0-9.+-]{1,100}(?:;[a-z0-9.+=-]{1,100}){0,5};base64,", re.IGNORECASE
)
_ANY_DATA = re.compile(
    r"data:([a-z0-9.+-]{1,100}/[a-z0-9.+-]{1,100})(?:;[a-z0-9.+=-]{1,100}){0,5};base64,",
    re.IGNORECASE,
)
_PDF = "JVBERi0"
"""Beginning of each PDF file in base64."""
_FILES = "openai"
"""API that knows the ids of uploaded files."""
_LONGEST_FORMAT = 50
_BASE64 = re.compile(r"[A-Za-z0-9+/]{1,65536}+")
_DETAILS = ("auto", "low", "high", "original")


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
    if part.values.get("file_id") is None:
        return _image(part)
    rest = part.rest("type", "image_url", "file_id", "detail")
    file_id = messages.FileId(_FILES, part.text("file_id", longest=LONGEST_NAME))
    return messages.ImagePart("", part.one_of("detail", _DETAILS), rest, file_id)


def _input_audio(part: Fields) -> Part:
    audio = part.object("input_audio")
    data, form = audio.text("data"), audio.text("format", longest=_LONGEST_FORMAT)
    if not is_base64(data):
        raise audio.wrong("data", "must be base64 with padding.")
    return read_part({**part.values, "input_audio": {**audio.values, "data": data, "format": form}})


def _video(part: Fields) -> Part:
    """Read a video part, whose `video_url` is a URL or an object with one."""
    nested = isinstance(part.values.get("video_url"), dict)
    video = part.object("video_url") if nested else part
    url = data_or_http_url(video, "url" if nested else "video_url", "video/")
    if nested:
        return read_part({**part.values, "type": "video_url"})
    return messages.VideoPart(url, part.rest("type", "video_url"))


def _file(part: Fields) -> Part:
    """Read a file part: the fields of a Chat `file` object, or those of an `input_file`."""
    nested = isinstance(part.values.get("file"), dict)
    file = part.object("file") if nested else part
    names = ("file_data", "file_url", "file_id", "filename")
    rest = file.rest("type", *names)
    extras = {**part.rest("type", "file"), **({"file": rest} if rest else {})} if nested else rest
    filename = file.optional("filename", str, "a string")
    if file.values.get("file_id") is not None:
        file_id = messages.FileId(_FILES, file.text("file_id", longest=LONGEST_NAME))
        return messages.FilePart(file_id=file_id, filename=filename, extras=extras)
    if file.values.get("file_url") is not None:
        url = http_url(file.text("file_url"), file.at("file_url"))
    else:
        url = _file_url(file, filename)
    return _file_part(url, filename, extras)


def _file_url(file: Fields, filename: str | None) -> str:
    """Return the URL of a file that comes as a URL or, from some clients, as base64 alone."""
    data = file.text("file_data")
    if data[:5].lower() == "data:" or data[:4].lower() == "http":
        return data_or_http_url(file, "file_data", "")
    if not is_base64(data):
        raise file.wrong("file_data", "must be a data: URL, or base64 with padding.")
    guessed = "application/pdf" if data.startswith(_PDF) else guess_type(filename or "")[0]
    return f"data:{guessed or 'application/octet-stream'};base64,{data}"


def _file_part(url: str, filename: str | None, extras: Extras) -> Part:
    """Return the part for a file at a URL: an image, audio or a video if it is one."""
    kind, _, form = (media_type_of(url) or "").partition("/")
    match kind:
        case "image":
            return messages.ImagePart(url, extras=extras)
        case "video":
            return messages.VideoPart(url, extras)
        case "audio":
            audio = {"mpeg": "mp3", "x-wav": "wav"}.get(form, form)
            return messages.AudioPart(url.partition(",")[2], audio, extras)
        case _:
            return messages.FilePart(url, filename=filename, extras=extras)


MEDIA_READERS: dict[str, Callable[[Fields], Part]] = {
    "image_url": _image,
    "input_image": _input_image,
    "file": _file,
    "input_file": _file,
    "input_audio": _input_audio,
    "video_url": _video,
    "input_video": _video,
}
"""Readers of parts by their type; they raise `ApiError` (400)."""


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


def data_or_http_url(fields: Fields, name: str, media: str) -> str:
    """Return the field if it is a URL of this kind of media, or raise `ApiError` (400)."""
    url = fields.text(name)
    if url[:5].lower() != "data:":
        return http_url(url, fields.at(name))
    head = _ANY_DATA.match(url)
    if head is None or not head[1].lower().startswith(media):
        raise fields.wrong(name, f"a data: URL must begin with data:{media}…;base64,")
    if not is_base64(url, head.end()):
        raise fields.wrong(name, "the data after base64, must be base64 with padding.")
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
