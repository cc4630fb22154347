"""What a provider says about an error, in whichever of the usual JSON shapes it says it."""

import msgspec
from msgspec import Struct


class ProviderError(Struct, frozen=True):
    """A provider's own words, not yet scrubbed; None is what it did not say."""

    message: str
    code: str | None = None
    """A word; a number that only repeats an HTTP status is none."""
    type: str | None = None
    param: str | None = None
    status: int | None = None
    """An HTTP status inside of the error, as relays of other providers give it."""
    retry_after_s: float | None = None
    """Seconds to wait, where the error itself tells them."""


def read_error(data: bytes) -> ProviderError | None:
    """The error in a JSON document: OpenAI's object, a bare string, `message`, or `detail`.

    None where the document is not JSON or has no message in it.
    """
    try:
        document: object = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(document, list) and document:  # Gemini wraps its errors in an array
        document = document[0]
    if isinstance(document, dict):
        document = document.get("error") or document
    return _read(document)


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
    details = _details(error)
    return ProviderError(
        message,
        code=_word(details.get("reason")) or (_word(code) if status is None else None),
        type=_word(error.get("type")) or _word(error.get("status")),
        param=_word(error.get("param")),
        status=status,
        retry_after_s=_seconds(details.get("retryDelay")),
    )


def _details(error: dict[object, object]) -> dict[object, object]:
    """Google's details of all kinds in one: `ErrorInfo` has a `reason`, `RetryInfo` a delay."""
    details = error.get("details")
    found: dict[object, object] = {}
    for one in details if isinstance(details, list) else ():
        if isinstance(one, dict):
            found.update(one)
    return found


def _seconds(delay: object) -> float | None:
    """A duration such as `21s` or `0.5s`."""
    text = delay.removesuffix("s") if isinstance(delay, str) else ""
    short = len(text) < 20 and text.isascii()
    return float(text) if short and text.replace(".", "", 1).isdigit() else None


def _message(error: dict[object, object]) -> str | None:
    for field in ("message", "detail", "msg"):
        value = error.get(field)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return _message(value[0])  # FastAPI: a list of what is wrong
    return None


def _word(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return None
    return str(value)
