"""Parses Messages events: strictly at first, leniently if field types are wrong.

Only the fields that are used are declared. Shapes come from Anthropic's API reference, "Messages"
and "Streaming messages".
"""

import msgspec
from msgspec import Raw, Struct

from actors.providers.formats.lenient_fields import (
    NULL,
    Number,
    number,
    objects,
    raw,
    read_either,
    text,
)


class OutputDetails(Struct, gc=False):
    thinking_tokens: Number | None = None


class TokenUsage(Struct, gc=False):
    """Token counts of `message_start`, or of `message_delta`, in which they are cumulative."""

    input_tokens: Number | None = None
    cache_read_input_tokens: Number | None = None
    cache_creation_input_tokens: Number | None = None
    output_tokens: Number | None = None
    output_tokens_details: OutputDetails | None = None


class Block(Struct, gc=False):
    """A content block: complete in a whole message, its start in a stream."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    id: str | None = None
    name: str | None = None
    input: Raw = NULL


class Delta(Struct, gc=False):
    """An addition to a content block or, in `message_delta`, to the message."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class Start(Struct, gc=False):
    """The message in `message_start`, which has no content yet."""

    usage: TokenUsage | None = None


class Event(Struct, gc=False):
    """One event of a stream, or a whole message (its `type` is `message`)."""

    type: str = ""
    index: Number | None = None
    delta: Delta | None = None
    content_block: Block | None = None
    message: Start | None = None
    usage: TokenUsage | None = None
    content: list[Block] | None = None
    stop_reason: str | None = None
    error: Raw = NULL


_strict = msgspec.json.Decoder(Event).decode


def read_event(data: bytes) -> tuple[Event, bool]:
    """Return the event and whether it matched the schema.

    If field types are wrong, the readable fields are kept. Raises `msgspec.DecodeError` if `data`
    isn't a JSON object.
    """
    return read_either(data, _strict, _lenient)


def _lenient(document: dict[str, object]) -> Event:
    return Event(
        type=text(document.get("type")) or "",
        index=number(document.get("index")),
        delta=_delta(document.get("delta")),
        content_block=_block(document.get("content_block")),
        message=_start(document.get("message")),
        usage=_usage(document.get("usage")),
        content=[_block(one) or Block() for one in objects(document.get("content"))],
        stop_reason=text(document.get("stop_reason")),
        error=raw(document.get("error")),
    )


def _delta(delta: object) -> Delta | None:
    if not isinstance(delta, dict):
        return None
    return Delta(
        type=text(delta.get("type")) or "",
        text=text(delta.get("text")),
        thinking=text(delta.get("thinking")),
        partial_json=text(delta.get("partial_json")),
        stop_reason=text(delta.get("stop_reason")),
    )


def _block(block: object) -> Block | None:
    if not isinstance(block, dict):
        return None
    return Block(
        type=text(block.get("type")) or "",
        text=text(block.get("text")),
        thinking=text(block.get("thinking")),
        id=text(block.get("id")),
        name=text(block.get("name")),
        input=raw(block.get("input")),
    )


def _start(message: object) -> Start | None:
    return Start(_usage(message.get("usage"))) if isinstance(message, dict) else None


def _usage(usage: object) -> TokenUsage | None:
    if not isinstance(usage, dict):
        return None
    details = usage.get("output_tokens_details")
    return TokenUsage(
        input_tokens=number(usage.get("input_tokens")),
        cache_read_input_tokens=number(usage.get("cache_read_input_tokens")),
        cache_creation_input_tokens=number(usage.get("cache_creation_input_tokens")),
        output_tokens=number(usage.get("output_tokens")),
        output_tokens_details=OutputDetails(number(details.get("thinking_tokens")))
        if isinstance(details, dict)
        else None,
    )
