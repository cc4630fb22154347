"""Frames of Chat Completions.

Only the fields that are used are declared.
"""

import msgspec
from msgspec import Raw, Struct

from actors.providers.formats.lenient_fields import NULL, FrameType, Number
from actors.turn.messages import JSON

Objects = list[dict[str, JSON]]


class Function(Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class Custom(Struct, gc=False):
    name: str | None = None
    input: str | None = None


class Call(Struct, gc=False):
    index: Number | None = None
    id: str | None = None
    function: Function | None = None
    custom: Custom | None = None
    extra_content: dict[str, JSON] | None = None
    """Google's field for the signature of the thoughts before the call."""

    @property
    def is_named(self) -> bool:
        """True if the piece has the name of the tool."""
        called = self.function or self.custom
        return bool(called and called.name)


class Delta(Struct, gc=False):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[Call] | None = None
    function_call: Function | None = None
    reasoning_details: Objects | None = None
    thinking_blocks: Objects | None = None
    extra_content: dict[str, JSON] | None = None
    annotations: list[JSON] | None = None


class Choice(Struct, gc=False):
    index: int = 0
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    logprobs: Raw = NULL


class PromptDetails(Struct, gc=False):
    cached_tokens: Number | None = None


class CompletionDetails(Struct, gc=False):
    reasoning_tokens: Number | None = None


class TokenUsage(Struct, gc=False):
    prompt_tokens: Number | None = None
    completion_tokens: Number | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None


class Frame(Struct, gc=False):
    """One event of a stream, or a whole answer (with `message` instead of `delta`)."""

    choices: list[Choice] | None = None
    usage: TokenUsage | None = None
    error: Raw = NULL
    object: str | None = None
    citations: list[JSON] | None = None
    """Perplexity's list of the URLs that it searched, the same in all frames."""


def _arguments(value: object) -> str | None:
    """Return arguments as JSON text, which some servers send as an object."""
    return msgspec.json.encode(value).decode() if isinstance(value, dict) else _text(value)


def _text(value: object) -> str | None:
    """Return a string, the joined texts of a list of content parts, or None for anything else."""
    if isinstance(value, str):
        return value
    parts = value if isinstance(value, list) else ()
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return "".join([text for text in texts if isinstance(text, str)]) or None


FRAME = FrameType(
    Frame,
    content=_text,
    refusal=_text,
    reasoning_content=_text,
    reasoning=_text,
    arguments=_arguments,
)
