"""What can be made out where a provider's frame has wrong types in it."""

from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Raw

NULL = Raw(b"null")

_MOST = 2**53
"""What is more is neither a count nor an index, and neither journal nor database could hold it."""

Number = Annotated[int, Meta(ge=-_MOST, le=_MOST)]


T = TypeVar("T")


def read_either(
    data: bytes, strict: Callable[[bytes], T], lenient: Callable[[dict[str, object]], T]
) -> tuple[T, bool]:
    """What a frame says, and whether it was as it should be.

    Where types are wrong, `lenient` makes out of the object what it can. Raises
    `msgspec.DecodeError` where `data` is no JSON object.
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
    """The objects of a list."""
    if isinstance(value, list):
        for one in value:
            if isinstance(one, dict):
                yield one


def text(value: object) -> str | None:
    """A string."""
    return value if isinstance(value, str) else None


def number(value: object) -> int | None:
    """A number that can be kept."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if abs(value) <= _MOST else None


def raw(value: object) -> Raw:
    """A value as JSON again."""
    return NULL if value is None else Raw(msgspec.json.encode(value))


def arguments(value: Raw) -> str:
    """A tool call's arguments as text, without the white space that they were laid out with.

    Arguments that come as a text are that text. Raises `UnicodeDecodeError`.
    """
    data = bytes(value)
    if data.startswith(b'"'):
        return msgspec.json.decode(data, type=str)
    return "{}" if value == NULL else str(msgspec.json.format(data, indent=-1), "utf-8")


def one_line(value: Raw) -> str:
    """JSON as text, laid out without line ends: one of them would cut an event in two."""
    text = str(bytes(value), "utf-8", "replace")
    laid_out = "\n" in text or "\r" in text
    return msgspec.json.format(text, indent=-1) if laid_out else text


def made_call_id(*said: str) -> str:
    """An id for a tool call that came without one, the same for the same words."""
    return f"call_{blake2b(chr(0).join(said).encode(), digest_size=12).hexdigest()}"
