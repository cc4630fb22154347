"""Helpers for reading provider frames in which fields have wrong types."""

from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Raw

NULL = Raw(b"null")

_MAX_NUMBER = 2**53
"""Largest number accepted; no count or index is larger, and the database couldn't store it."""

Number = Annotated[int, Meta(ge=-_MAX_NUMBER, le=_MAX_NUMBER)]


T = TypeVar("T")


def read_either(
    data: bytes, strict: Callable[[bytes], T], lenient: Callable[[dict[str, object]], T]
) -> tuple[T, bool]:
    """Decode a frame; return it and whether it matched the schema.

    If field types are wrong, `lenient` builds the frame from the readable fields. Raises
    `msgspec.DecodeError` if `data` isn't a JSON object.
    """
    try:
        try:
            return strict(data), True
        except msgspec.ValidationError:
            return lenient(_object(data)), False
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError("not UTF-8") from error
    except RecursionError as error:
        raise msgspec.DecodeError("nested too deeply") from error


def _object(data: bytes) -> dict[str, object]:
    document: object = msgspec.json.decode(data)
    if not isinstance(document, dict):
        raise msgspec.ValidationError("not an object")
    return document


def objects(value: object) -> Iterator[dict[str, object]]:
    """Yield the objects in a list; skip everything else."""
    if isinstance(value, list):
        for one in value:
            if isinstance(one, dict):
                yield one


def text(value: object) -> str | None:
    """Return the value if it is a string, else None."""
    return value if isinstance(value, str) else None


def number(value: object) -> int | None:
    """Return the value as an integer, or None if it isn't a number within bounds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if abs(value) <= _MAX_NUMBER else None


def raw(value: object) -> Raw:
    """Return a decoded value as JSON again."""
    return NULL if value is None else Raw(msgspec.json.encode(value))


def arguments(value: Raw) -> str:
    """Return a tool call's arguments as compact JSON text.

    Arguments that are a JSON string are returned as the content of the string. Raises
    `UnicodeDecodeError`.
    """
    data = bytes(value)
    if data.startswith(b'"'):
        return msgspec.json.decode(data, type=str)
    return "{}" if value == NULL else str(msgspec.json.format(data, indent=-1), "utf-8")


def one_line(value: Raw) -> str:
    """Return JSON as text without line breaks, which would split a server-sent event."""
    text = str(bytes(value), "utf-8", "replace")
    laid_out = "\n" in text or "\r" in text
    return msgspec.json.format(text, indent=-1) if laid_out else text


def derive_call_id(*parts: str) -> str:
    """Return an id for a tool call that came without one; equal parts give equal ids."""
    return f"call_{blake2b(chr(0).join(parts).encode(), digest_size=12).hexdigest()}"
