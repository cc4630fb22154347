"""Frames of Chat Completions.

Only the fields that are used are declared.
"""

import msgspec
from msgspec import Raw, Struct

from actors.providers.formats.lenient_fields import NULL, FrameType, Number, word
from actors.providers.formats.token_usage import UsageFields
from actors.turn.chat_messages import CALL_FIELDS
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
    provider_specific_fields: dict[str, JSON] | None = None

    @property
    def state(self) -> dict[str, JSON]:
        """The fields that the server wants back with the call."""
        given = zip(CALL_FIELDS, (self.extra_content, self.provider_specific_fields), strict=True)
        return {name: value for name, value in given if value}

    @property
    def is_named(self) -> bool:
        """True if the piece has the name of the tool."""
        called = self.function or self.custom
        return bool(called and called.name)


class Part(Struct, gc=False):
    """A part of the content, as Mistral sends it; in its thinking are parts again."""

    type: str | None = None
    text: str | None = None
    thinking: "str | list[Part] | None" = None

    @property
    def is_thinking(self) -> bool:
        """True if the part is reasoning and not text."""
        return self.thinking is not None or self.type in ("thinking", "reasoning")

    @property
    def shown(self) -> str:
        """Text of the part, thought or not."""
        if isinstance(self.thinking, list):
            return "".join([part.shown for part in self.thinking])
        return self.thinking or self.text or ""


class Delta(Struct, gc=False):
    content: str | list[Part] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[Call] | None = None
    function_call: Function | None = None
    reasoning_details: Objects | None = None
    thinking_blocks: Objects | None = None
    extra_content: dict[str, JSON] | None = None
    reasoning_opaque: str | None = None
    annotations: list[JSON] | None = None


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
    usage: UsageFields = None
    """Moonshot's place for the usage."""
    error: Raw = NULL
    """OpenRouter's place for the error of the provider behind it, with the finish word `error`."""


class Groq(Struct, gc=False):
    """Groq's extension of a frame."""

    usage: UsageFields = None


class Frame(Struct, gc=False):
    """One event of a stream, or a whole answer (with `message` instead of `delta`)."""

    choices: list[Choice] | None = None
    usage: UsageFields = None
    x_groq: Groq | None = None
    timings: UsageFields = None
    """llama.cpp's counts, of which `cache_n` is not always in `usage`."""
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


def _content(value: object) -> str | list[Part] | None:
    """Return a string, the parts of a list that can be read, or None for anything else."""
    if isinstance(value, str) or not isinstance(value, list):
        return value if isinstance(value, str) else None
    parts = [part for part in value if isinstance(part, dict)]
    return [Part(_type(part), _text(part.get("text")), _thinking(part)) for part in parts]


def _type(part: dict[str, object]) -> str | None:
    found = part.get("type")
    return found if isinstance(found, str) else None


def _thinking(part: dict[str, object]) -> str | list[Part] | None:
    return _content(part.get("thinking"))


FRAME = FrameType(
    Frame,
    content=_content,
    refusal=_text,
    reasoning_content=_text,
    reasoning=_text,
    arguments=_arguments,
    finish_reason=word,
)
