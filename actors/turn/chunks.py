"""Chunk types: the decoded form of a provider's stream, independent of the wire format.

A decoder is fed bytes and returns lists of chunks; the streamer forwards each list as a batch.
"""

from typing import Literal

from msgspec import Struct

from actors.turn.outcome import Reason, Usage

CallKind = Literal["function", "custom"]
"""Kind of a tool call: a custom tool's input is free text instead of JSON arguments."""


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


class ReasoningStateChunk(Struct, frozen=True, gc=False):
    """The end of a piece of reasoning, with the state that the provider wants to get back.

    `state` is a JSON object with fields of the API, such as Anthropic's `signature`. It can come
    without any reasoning text, if the provider redacts or encrypts it.
    """

    api: str
    """Name of the format whose providers accept the state."""
    state: str


class MessagePhaseChunk(Struct, frozen=True, gc=False):
    """The beginning of a message in a phase of the answer, such as `commentary`, in Responses."""

    phase: str


class AnnotationChunk(Struct, frozen=True, gc=False):
    """A citation of the text so far, as a JSON object in the form of the Responses API."""

    annotation: str


class NativeItemChunk(Struct, frozen=True, gc=False):
    """A whole output item of a kind that one API has, such as a search run by the provider."""

    api: str
    """Name of the format whose clients and providers know the item."""
    item: str
    """JSON object as the provider sent it."""


class ToolCallChunk(Struct, frozen=True, gc=False):
    """A piece of the tool call at `index`; `id` and `name` come with any piece, or with none."""

    index: int
    id: str | None
    name: str | None
    arguments: str
    kind: CallKind = "function"
    extras: str | None = None
    """JSON object of fields that one API has, such as `namespace`, or None."""


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
    | ReasoningStateChunk
    | RefusalChunk
    | MessagePhaseChunk
    | AnnotationChunk
    | NativeItemChunk
    | ToolCallChunk
    | UsageChunk
    | FinishChunk
    | SkippedChunk
    | WarningChunk
)
