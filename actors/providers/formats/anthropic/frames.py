"""Messages events.

Only the fields that are used are declared. Shapes come from Anthropic's API reference, "Messages"
and "Streaming messages".
"""

from msgspec import Raw, Struct

from actors.providers.formats.lenient_fields import NULL, FrameType, Number


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


EVENT = FrameType(Event)
