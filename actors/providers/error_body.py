"""Parses a provider's error body in any of the usual JSON shapes."""

import msgspec
from msgspec import Struct
from msgspec.structs import replace

_DAY_S = 86_400.0
_LONGEST_TEXT = 500
"""Maximum number of bytes of an error that is plain text; longer ones are pages or traces."""


class ProviderError(Struct, frozen=True):
    """An error in the provider's own words, not yet scrubbed; missing fields are None."""

    message: str
    code: str | None = None
    """Error code; a number that only repeats an HTTP status is dropped."""
    type: str | None = None
    param: str | None = None
    status: int | None = None
    """HTTP status in the error body, as relays of other providers send it."""
    retry_after_s: float | None = None
    """Seconds to wait before a retry, at most a day, if the error body has them."""


def read_error(data: bytes) -> ProviderError | None:
    """Return the error in a body: OpenAI's object, a bare string, `message` or `detail`, or a text.

    Return None if the body is a page, not text at all, or a document without a message.
    """
    try:
        document: object = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _plain_text(data)
    if isinstance(document, list) and document:  # Gemini wraps its errors in an array
        document = document[0]
    if isinstance(document, dict):
        document = document.get("error") or _first_of(document.get("errors")) or document
    return _read(document)


def _plain_text(data: bytes) -> ProviderError | None:
    """Return the error in a body that is a line of text, such as those of Go's `http.Error`."""
    line = data[: _LONGEST_TEXT + 1].strip().decode("utf-8", "replace")
    is_text = line.isprintable() and "\ufffd" not in line and not line.startswith(("<", "[", "{"))
    return ProviderError(line) if line and is_text and len(data) <= _LONGEST_TEXT else None


def _first_of(errors: object) -> object:
    return errors[0] if isinstance(errors, list) and errors else None


def _read(error: object) -> ProviderError | None:
    if isinstance(error, str):
        return ProviderError(error) if error else None
    if not isinstance(error, dict):
        return None
    message = _message(error)
    if message is None:
        return None
    code = error.get("code")
    status = code if isinstance(code, int) and 400 <= code <= 599 else None
    if (relayed := _relayed(error)) is not None:
        return replace(relayed, status=relayed.status or status)
    details = _details(error)
    return ProviderError(
        message,
        code=_as_text(details.get("reason")) or (_as_text(code) if status is None else None),
        type=_as_text(error.get("type")) or _as_text(error.get("status")),
        param=_as_text(error.get("param")) or _place(error),
        status=status,
        retry_after_s=_seconds(details.get("retryDelay")),
    )


def _relayed(error: dict[object, object]) -> ProviderError | None:
    """Return the error of the provider behind a relay; OpenRouter's own message names only it."""
    metadata = error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    return read_error(raw.encode("utf-8", "replace")) if isinstance(raw, str) else None


def _details(error: dict[object, object]) -> dict[object, object]:
    """Merge Google's error details: `ErrorInfo` has a `reason`, `RetryInfo` a delay."""
    details = error.get("details")
    found: dict[object, object] = {}
    for one in details if isinstance(details, list) else ():
        if isinstance(one, dict):
            found.update(one)
    return found


def _seconds(delay: object) -> float | None:
    """Parse a duration such as `21s` or `0.5s`."""
    text = delay.removesuffix("s") if isinstance(delay, str) else ""
    short = len(text) < 20 and text.isascii()
    is_number = short and text.replace(".", "", 1).isdigit()
    return min(float(text), _DAY_S) if is_number else None


_MESSAGES = (
    *("message", "detail", "msg", "error", "Message", "error_msg", "error_message", "errorMessage"),
    *("errors", "status_msg"),
)
"""Fields with the message, in the order in which they are tried."""


def _message(error: dict[object, object]) -> str | None:
    for field in _MESSAGES:
        value = error.get(field)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, dict):  # Mistral nests FastAPI's errors in its own
            return _message(value)  # and relays nest whole errors of others
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return _message(value[0])  # FastAPI sends a list of validation errors
    return None


def _place(error: dict[object, object]) -> str | None:
    """Return the path of the invalid field in FastAPI's list of errors, without `body`."""
    for field in ("message", "detail"):
        match error.get(field):
            case dict(inner):
                return _place(inner)
            case [{"loc": ["body", *place]}, *_]:
                return ".".join(map(str, place)) or None
    return None


def _as_text(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return None
    return str(value)
