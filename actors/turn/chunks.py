"""Chunk types: the decoded form of a provider's stream, independent of the wire format.

A decoder is fed bytes and returns lists of chunks; the streamer forwards each list as a batch.
"""

from msgspec import Struct

from actors.turn.outcome import Reason, Usage


class TextChunk(Struct, frozen=True, gc=False):
    """A piece of visible text as it was generated."""

    text: str
    logprobs: str | None = None
    """The provider's `logprobs` object as unchanged JSON text."""


class ReasoningChunk(Struct, frozen=True, gc=False):
    """A piece of the reasoning that the provider shows."""

    text: str


class RefusalChunk(Struct, frozen=True, gc=False):
    """A piece of a refusal, which some formats send separately from the answer."""

    text: str


class ToolCallChunk(Struct, frozen=True, gc=False):
    """A piece of the tool call at `index`; `id` and `name` come with any piece, or with none."""

    index: int
    id: str | None
    name: str | None
    arguments: str


class UsageChunk(Struct, frozen=True, gc=False):
    """Token usage as the provider reports it; the last one of a stream counts."""

    usage: Usage


class FinishChunk(Struct, frozen=True, gc=False):
    """One of the four finish reasons; the last one of an answer counts.

    More of the answer may follow: some servers send a finish reason with every piece.
    """

    reason: Reason
    stop_sequence: str | None = None
    """Stop sequence that ended the answer, if the provider names it."""


class SkippedChunk(Struct, frozen=True, gc=False):
    """A malformed frame without recognisable text, which is skipped; `detail` describes it."""

    detail: str


class WarningChunk(Struct, frozen=True, gc=False):
    """A warning for the client about the answer, as in `actors.turn.events.Warning`."""

    code: str
    message: str


Chunk = (
    TextChunk
    | ReasoningChunk
    | RefusalChunk
    | ToolCallChunk
    | UsageChunk
    | FinishChunk
    | SkippedChunk
    | WarningChunk
)
