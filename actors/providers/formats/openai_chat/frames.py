"""Frames of Chat Completions.

Only the fields that are used are declared.
"""

import msgspec
from msgspec import Raw, Struct

from actors.providers.formats.lenient_fields import NULL, FrameType, Number


class Function(Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class Call(Struct, gc=False):
    index: Number | None = None
    id: str | None = None
    function: Function | None = None


class Delta(Struct, gc=False):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[Call] | None = None
    function_call: Function | None = None


class Choice(Struct, gc=False):
    index: int = 0
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    """vLLM's name of the stop sequence that was met, or of a token."""
    matched_stop: str | int | None = None
    """SGLang's."""
    logprobs: Raw = NULL
    usage: Raw = NULL
    """Moonshot's place for the usage."""


class Groq(Struct, gc=False):
    """Groq's extension of a frame."""

    usage: Raw = NULL


class Frame(Struct, gc=False):
    """One event of a stream, or a whole answer (with `message` instead of `delta`)."""

    choices: list[Choice] | None = None
    usage: Raw = NULL
    x_groq: Groq | None = None
    timings: Raw = NULL
    """llama.cpp's counts, of which `cache_n` is not always in `usage`."""
    error: Raw = NULL
    object: str | None = None


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
