"""Parses Responses objects and events: strictly at first, leniently if field types are wrong.

Only the fields that are used are declared.
"""

from functools import partial
from typing import TypeVar, get_args, get_origin

import msgspec
from msgspec import Raw, Struct

from actors.providers.formats.lenient_fields import NULL, Number, raw, read_either

EMPTY = Raw(b"[]")


class Part(Struct, gc=False):
    """A part of the content of a message or reasoning item, or of a reasoning summary."""

    type: str | None = None
    text: str | None = None
    refusal: str | None = None


class Item(Struct, gc=False):
    """An output item of any type."""

    type: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    content: list[Part] | None = None
    summary: list[Part] | None = None


class InputDetails(Struct, gc=False):
    cached_tokens: Number | None = None


class OutputDetails(Struct, gc=False):
    reasoning_tokens: Number | None = None


class TokenUsage(Struct, gc=False):
    input_tokens: Number | None = None
    output_tokens: Number | None = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None


class IncompleteDetails(Struct, gc=False):
    reason: str | None = None


class Response(Struct, gc=False):
    """A response object, complete or as far as an event contains it."""

    status: str | None = None
    output: list[Item] | None = None
    usage: TokenUsage | None = None
    incomplete_details: IncompleteDetails | None = None
    error: Raw = NULL
    object: str | None = None


class Event(Struct, gc=False):
    """A streaming event of any type."""

    type: str | None = None
    delta: str | None = None
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    output_index: Number | None = None
    content_index: Number | None = None
    summary_index: Number | None = None
    logprobs: Raw = NULL
    part: Part | None = None
    item: Item | None = None
    response: Response | None = None
    error: Raw = NULL
    object: str | None = None


S = TypeVar("S", bound=Struct)

_event = msgspec.json.Decoder(Event).decode
_response = msgspec.json.Decoder(Response).decode


def read_event(data: bytes) -> tuple[Event, bool]:
    """Return the event and whether it matched the schema.

    If field types are wrong, the readable fields are kept. Raises `msgspec.DecodeError` if `data`
    isn't a JSON object.
    """
    return read_either(data, _event, _salvage_event)


def read_response(data: bytes) -> tuple[Response, bool]:
    """Return the response and whether it matched the schema, like `read_event`."""
    return read_either(data, _response, _salvage_response)


def _salvage(kind: type[S], document: dict[str, object]) -> S:
    """Return a struct of those fields of a document that match their types."""
    kept = {}
    for field in msgspec.structs.fields(kind):
        if field.name in document:
            try:
                kept[field.name] = _fitting(field.type, document[field.name])
            except msgspec.ValidationError:
                continue
    return kind(**kept)


def _fitting(wanted: object, value: object) -> object:
    """Convert a value to the type of a field. Raises `msgspec.ValidationError`."""
    for option in get_args(wanted) or (wanted,):
        if option is Raw:
            return raw(value)
        if get_origin(option) is list and isinstance(value, list):
            (inner,) = get_args(option)
            return [_salvage(inner, one) for one in value if isinstance(one, dict)]
        if isinstance(option, type) and issubclass(option, Struct) and isinstance(value, dict):
            return _salvage(option, value)
    return msgspec.convert(value, wanted)


_salvage_event = partial(_salvage, Event)
_salvage_response = partial(_salvage, Response)
