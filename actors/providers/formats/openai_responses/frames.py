"""Objects and events of the Responses API.

Only the fields that are used are declared.
"""

import msgspec
from msgspec import Raw, Struct

from actors.providers.formats.lenient_fields import NULL, FrameType, Number, read_or_none
from actors.providers.formats.token_usage import UsageFields

EMPTY = Raw(b"[]")
API = "openai-responses"
"""Name of the API in chunks that only its clients and providers understand."""
CALL_EXTRAS = ("namespace", "async", "caller")
"""Fields of calls that other APIs don't have."""


class Part(Struct, gc=False):
    """A part of the content of a message or reasoning item, or of a reasoning summary."""

    type: str | None = None
    text: str | None = None
    refusal: str | None = None
    annotations: Raw = NULL


class Item(Struct, gc=False):
    """An output item of any type."""

    type: str | None = None
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    input: str | None = None
    content: list[Part] | None = None
    summary: list[Part] | None = None
    encrypted_content: str | None = None
    phase: str | None = None


class IncompleteDetails(Struct, gc=False):
    reason: str | None = None


class Response(Struct, gc=False):
    """A response object, complete or as far as an event contains it."""

    status: str | None = None
    output: Raw = NULL
    """List of items."""
    usage: UsageFields = None
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
    input: str | None = None
    output_index: Number | None = None
    content_index: Number | None = None
    summary_index: Number | None = None
    logprobs: Raw = NULL
    part: Part | None = None
    annotation: Raw = NULL
    item: Raw = NULL
    response: Response | None = None
    usage: UsageFields = None
    """Usage beside the response, where some servers have it."""
    error: Raw = NULL
    object: str | None = None


EVENT = FrameType(Event)
RESPONSE = FrameType(Response)
_ITEM = FrameType(Item)
_decode_list = msgspec.json.Decoder(list[Raw]).decode


class OutputItem(Struct, frozen=True):
    """An output item with its JSON, which may have more fields."""

    fields: Item
    json: Raw


def read_item(data: Raw) -> OutputItem:
    """Return an item. Raises `msgspec.DecodeError` if it isn't an object."""
    try:
        return OutputItem(_ITEM.strict(data), data)
    except msgspec.ValidationError:
        return OutputItem(_ITEM.lenient(data), data)


def read_items(data: Raw) -> list[OutputItem]:
    """Return the items of a list, without those that aren't objects."""
    items = [read_or_none(read_item, item) for item in read_or_none(_decode_list, data) or ()]
    return [item for item in items if item is not None]
