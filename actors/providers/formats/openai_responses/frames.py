"""Objects and events of the Responses API.

Only the fields that are used are declared.
"""

from msgspec import Raw, Struct

from actors.providers.formats.lenient_fields import NULL, FrameType, Number
from actors.providers.formats.token_usage import UsageFields

EMPTY = Raw(b"[]")


class Part(Struct, gc=False):
    """A part of the content of a message or reasoning item, or of a reasoning summary."""

    type: str | None = None
    text: str | None = None
    refusal: str | None = None


class Item(Struct, gc=False):
    """An output item of any type."""

    type: str | None = None
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    content: list[Part] | None = None
    summary: list[Part] | None = None


class IncompleteDetails(Struct, gc=False):
    reason: str | None = None


class Response(Struct, gc=False):
    """A response object, complete or as far as an event contains it."""

    status: str | None = None
    output: list[Item] | None = None
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
    output_index: Number | None = None
    content_index: Number | None = None
    summary_index: Number | None = None
    logprobs: Raw = NULL
    part: Part | None = None
    item: Item | None = None
    response: Response | None = None
    usage: UsageFields = None
    """Usage beside the response, where some servers have it."""
    error: Raw = NULL
    object: str | None = None


EVENT = FrameType(Event)
RESPONSE = FrameType(Response)
