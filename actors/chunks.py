"""What a provider's stream decodes to, whatever its wire format.

A decoder is fed bytes and returns lists of these; the streamer passes the lists on as batches.
"""

from msgspec import Struct

from actors.outcome import Reason, Usage


class TextChunk(Struct, frozen=True, gc=False):
    """Visible text as it was generated."""

    text: str
    logprobs: str | None = None
    """The provider's `logprobs` object, untouched, as JSON text."""


class ReasoningChunk(Struct, frozen=True, gc=False):
    """Thinking that the provider shows."""

    text: str


class RefusalChunk(Struct, frozen=True, gc=False):
    """Text of a refusal, which some formats keep apart from the answer."""

    text: str


class ToolCallChunk(Struct, frozen=True, gc=False):
    """A piece of the tool call at `index`; `id` and `name` come with its first piece."""

    index: int
    id: str | None
    name: str | None
    arguments: str


class UsageChunk(Struct, frozen=True, gc=False):
    """The provider's own figures; the last one counts."""

    usage: Usage


class FinishChunk(Struct, frozen=True, gc=False):
    """The model stopped by itself, for one of the four finish reasons."""

    reason: Reason


class SkippedChunk(Struct, frozen=True, gc=False):
    """A malformed frame in which no text could be made out; `detail` says what it looked like."""

    detail: str


Chunk = (
    TextChunk
    | ReasoningChunk
    | RefusalChunk
    | ToolCallChunk
    | UsageChunk
    | FinishChunk
    | SkippedChunk
)
