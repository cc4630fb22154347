"""The parts of a Chat Completions frame that are read, strictly at first and then leniently."""

from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

NULL = Raw(b"null")

_MOST = 2**53
"""What is more is neither a count nor an index, and neither journal nor database could hold it."""

Number = Annotated[int, Meta(ge=-_MOST, le=_MOST)]


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


_STRICT = msgspec.json.Decoder(Frame)


def read_frame(data: bytes) -> tuple[Frame, bool]:
    """The frame, and whether it was as it should be.

    Where types are wrong, what can be made out is kept. Raises `msgspec.DecodeError` where
    `data` is no JSON object.
    """
    try:
        return _read(data)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError("not UTF-8") from error
    except RecursionError as error:
        raise msgspec.DecodeError("nested too deeply") from error


def _read(data: bytes) -> tuple[Frame, bool]:
    try:
        return _STRICT.decode(data), True
    except msgspec.ValidationError:
        return _lenient(data), False


def _lenient(data: bytes) -> Frame:
    document: object = msgspec.json.decode(data)
    if not isinstance(document, dict):
        raise msgspec.ValidationError("not an object")
    error = document.get("error")
    return Frame(
        choices=[_choice(one) for one in _objects(document.get("choices"))],
        usage=_usage(document.get("usage")),
        error=NULL if error is None else Raw(msgspec.json.encode(error)),
        object=_text(document.get("object")),
    )


def _choice(choice: dict[str, object]) -> Choice:
    return Choice(
        index=_number(choice.get("index")) or 0,
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
        tool_calls=[_call(one) for one in _objects(delta.get("tool_calls"))],
        function_call=_function(delta.get("function_call")),
    )


def _call(call: dict[str, object]) -> Call:
    return Call(
        index=_number(call.get("index")),
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
        prompt_tokens=_number(usage.get("prompt_tokens")),
        completion_tokens=_number(usage.get("completion_tokens")),
        prompt_tokens_details=PromptDetails(_number(prompt.get("cached_tokens")))
        if isinstance(prompt, dict)
        else None,
        completion_tokens_details=CompletionDetails(_number(completion.get("reasoning_tokens")))
        if isinstance(completion, dict)
        else None,
    )


def _objects(value: object) -> Iterator[dict[str, object]]:
    if isinstance(value, list):
        for one in value:
            if isinstance(one, dict):
                yield one


def _text(value: object) -> str | None:
    """A string, or the texts of a list of content parts."""
    if isinstance(value, str):
        return value
    texts = [text for part in _objects(value) if isinstance(text := part.get("text"), str)]
    return "".join(texts) or None


def _number(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if abs(value) <= _MOST else None
