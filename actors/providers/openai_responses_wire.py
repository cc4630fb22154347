"""The parts of Responses objects and events that are read, strictly at first and then leniently."""

from functools import partial
from typing import TypeVar, get_args, get_origin

import msgspec
from msgspec import Raw, Struct

from actors.providers.lenient import NULL, Number, raw, read_either

EMPTY = Raw(b"[]")


class Part(Struct, gc=False):
    """Of a message's or a reasoning's content, or of a reasoning's summary."""

    type: str | None = None
    text: str | None = None
    refusal: str | None = None


class Item(Struct, gc=False):
    """One of the things that an answer is made of, whichever its `type` is."""

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
    """A whole answer, or as much of it as an event has."""

    status: str | None = None
    output: list[Item] | None = None
    usage: TokenUsage | None = None
    incomplete_details: IncompleteDetails | None = None
    error: Raw = NULL
    object: str | None = None


class Event(Struct, gc=False):
    """One event of a stream, whichever its `type` is."""

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
    """The event, and whether it was as it should be.

    Where types are wrong, what can be made out is kept. Raises `msgspec.DecodeError` where
    `data` is no JSON object.
    """
    return read_either(data, _event, _salvaged_event)


def read_response(data: bytes) -> tuple[Response, bool]:
    """The same for a whole answer in one document."""
    return read_either(data, _response, _salvaged_response)


def _salvaged(kind: type[S], document: dict[str, object]) -> S:
    """What of a document is as it should be, each field for itself."""
    kept = {}
    for field in msgspec.structs.fields(kind):
        if field.name in document:
            try:
                kept[field.name] = _fitting(field.type, document[field.name])
            except msgspec.ValidationError:
                continue
    return kind(**kept)


def _fitting(wanted: object, value: object) -> object:
    """The value as the type that a field has. Raises `msgspec.ValidationError`."""
    for option in get_args(wanted) or (wanted,):
        if option is Raw:
            return raw(value)
        if get_origin(option) is list and isinstance(value, list):
            (inner,) = get_args(option)
            return [_salvaged(inner, one) for one in value if isinstance(one, dict)]
        if isinstance(option, type) and issubclass(option, Struct) and isinstance(value, dict):
            return _salvaged(option, value)
    return msgspec.convert(value, wanted)


_salvaged_event = partial(_salvaged, Event)
_salvaged_response = partial(_salvaged, Response)
