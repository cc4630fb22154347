"""Parses Chat Completions frames: strictly at first, leniently if field types are wrong.

Only the fields that are used are declared.
"""

import msgspec
from msgspec import Raw, Struct

from actors.providers.formats.lenient_fields import NULL, Number, number, objects, raw, read_either


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


_strict = msgspec.json.Decoder(Frame).decode


def read_frame(data: bytes) -> tuple[Frame, bool]:
    """Return the frame and whether it matched the schema.

    If field types are wrong, the readable fields are kept. Raises `msgspec.DecodeError` if `data`
    isn't a JSON object.
    """
    return read_either(data, _strict, _lenient)


def _lenient(document: dict[str, object]) -> Frame:
    return Frame(
        choices=[_choice(one) for one in objects(document.get("choices"))],
        usage=_usage(document.get("usage")),
        error=raw(document.get("error")),
        object=_text(document.get("object")),
    )


def _choice(choice: dict[str, object]) -> Choice:
    return Choice(
        index=number(choice.get("index")) or 0,
        delta=_delta(choice.get("delta")),
        message=_delta(choice.get("message")),
        finish_reason=_text(choice.get("finish_reason")),
    )


def _delta(delta: object) -> Delta | None:
    if not isinstance(delta, dict):
        return None
    return Delta(
        content=_text(delta.get("content")),
        refusal=_text(delta.get("refusal")),
        reasoning_content=_text(delta.get("reasoning_content")),
        reasoning=_text(delta.get("reasoning")),
        tool_calls=[_call(one) for one in objects(delta.get("tool_calls"))],
        function_call=_function(delta.get("function_call")),
    )


def _call(call: dict[str, object]) -> Call:
    return Call(
        index=number(call.get("index")),
        id=_text(call.get("id")),
        function=_function(call.get("function")),
    )


def _function(function: object) -> Function | None:
    if not isinstance(function, dict):
        return None
    arguments = function.get("arguments")
    if isinstance(arguments, dict):
        arguments = msgspec.json.encode(arguments).decode()
    return Function(name=_text(function.get("name")), arguments=_text(arguments))


def _usage(usage: object) -> TokenUsage | None:
    if not isinstance(usage, dict):
        return None
    prompt, completion = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    return TokenUsage(
        prompt_tokens=number(usage.get("prompt_tokens")),
        completion_tokens=number(usage.get("completion_tokens")),
        prompt_tokens_details=PromptDetails(number(prompt.get("cached_tokens")))
        if isinstance(prompt, dict)
        else None,
        completion_tokens_details=CompletionDetails(number(completion.get("reasoning_tokens")))
        if isinstance(completion, dict)
        else None,
    )


def _text(value: object) -> str | None:
    """Return a string, the joined texts of a list of content parts, or None for anything else."""
    if isinstance(value, str):
        return value
    texts = [text for part in objects(value) if isinstance(text := part.get("text"), str)]
    return "".join(texts) or None
