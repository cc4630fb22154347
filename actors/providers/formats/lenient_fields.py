"""Reads provider frames, in which fields may have wrong types."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Generic, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta, Raw, Struct

NULL = Raw(b"null")
_ODD_NUMBER = re.compile(
    rb'(?P<text>"(?:[^"\\]++|\\.)*+"?+)|[-+]?\b(?:NaN|Infinity|nan|inf(?:inity)?)\b', re.DOTALL
)
"""Matches a string, which stays as it is, or a number that JSON doesn't have.

A string without an end matches too, so that the search takes linear time."""

_MAX_NUMBER = 2**53
"""Largest number accepted; no count or index is larger, and the database couldn't store it."""

Number = Annotated[int, Meta(ge=-_MAX_NUMBER, le=_MAX_NUMBER)]

T = TypeVar("T")
S = TypeVar("S", bound=Struct)
F = TypeVar("F", bound=Struct)


Converter = Callable[[object], object]
"""Converts a decoded JSON value to the type of a field. Raises `msgspec.ValidationError`."""


class FrameType(Generic[F]):
    """A type of frame: decoded strictly at first, leniently if field types are wrong.

    `converters` convert the values of fields, by name, that some servers send as another type.
    """

    def __init__(self, kind: type[F], **converters: Converter) -> None:
        self.strict: Callable[[bytes], F] = msgspec.json.Decoder(kind).decode
        """Decode a frame. Raises `msgspec.ValidationError` if field types are wrong."""
        self._salvage = _salvager(kind, converters)

    def lenient(self, data: bytes) -> F:
        """Decode the fields that match their types; the others keep their defaults.

        Raises `msgspec.DecodeError` if `data` isn't a JSON object.
        """
        return self._salvage(msgspec.json.decode(data, type=dict[str, object]))


def _salvager(
    kind: type[S], converters: Mapping[str, Converter]
) -> Callable[[dict[str, object]], S]:
    """Return a function that builds a struct from those fields of an object that match."""
    fields = {
        field.encode_name: (
            field.name,
            converters.get(field.name) or _converter(field.type, converters),
        )
        for field in msgspec.structs.fields(kind)
    }

    def salvage(document: dict[str, object]) -> S:
        kept = {}
        for key, value in document.items():
            if key in fields:
                name, convert = fields[key]
                try:
                    kept[name] = convert(value)
                except msgspec.ValidationError:
                    continue
        return kind(**kept)

    return salvage


def _converter(wanted: object, converters: Mapping[str, Converter]) -> Converter:
    for option in get_args(wanted) or (wanted,):
        if option is Raw:
            return _raw
        if option is Number:
            return number
        if get_origin(option) is list and issubclass(member := get_args(option)[0], Struct):
            return _list_of(_salvager(member, converters))
        if isinstance(option, type) and issubclass(option, Struct):
            return _object_of(_salvager(option, converters))
    return partial(msgspec.convert, type=wanted)


def _list_of(salvage: Callable[[dict[str, object]], S]) -> Converter:
    return lambda value: (
        [salvage(one) for one in value if isinstance(one, dict)]
        if isinstance(value, list)
        else None
    )


def _object_of(salvage: Callable[[dict[str, object]], S]) -> Converter:
    return lambda value: salvage(value) if isinstance(value, dict) else None


def _raw(value: object) -> Raw:
    return NULL if value is None else Raw(msgspec.json.encode(value))


def read_or_none(read: Callable[[Raw], T], data: Raw) -> T | None:
    """Return the decoded value, or None if it is null or doesn't match its type."""
    try:
        return None if data == NULL else read(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def number(value: object) -> int | None:
    """Return the value as an integer, or None if it isn't a number within bounds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if abs(value) <= _MAX_NUMBER else None


def word(value: object) -> str | None:
    """Return a finish word that isn't a string, so that it is never taken for none.

    SGLang's engine has an object with the word as its `type`.
    """
    if isinstance(value, dict):
        value = value.get("type") or "an object"
    return None if value is None else str(value)


def arguments(value: Raw) -> str:
    """Return a tool call's arguments as compact JSON text.

    Arguments that are a JSON string are returned as the content of the string. Raises
    `UnicodeDecodeError`.
    """
    data = bytes(value)
    if data.startswith(b'"'):
        return msgspec.json.decode(data, type=str)
    return "{}" if value == NULL else str(msgspec.json.format(data, indent=-1), "utf-8")


def without_odd_numbers(data: bytes) -> bytes | None:
    """Return the JSON with null for `NaN` and `Infinity`, or None if they are not in it."""
    replaced = _ODD_NUMBER.sub(lambda match: match["text"] or b"null", data)
    return None if replaced == data else replaced


def one_line(value: Raw) -> str:
    """Return JSON as text without line breaks, which would split a server-sent event."""
    text = str(bytes(value), "utf-8", "replace")
    laid_out = "\n" in text or "\r" in text
    return msgspec.json.format(text, indent=-1) if laid_out else text
